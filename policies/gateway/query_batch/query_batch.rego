# METADATA
# title: Many query decisions at once
# description: |
#   Judges each item by itself, as `gateway.query` would. The answer is keyed as the items are: in an array one
#   undefined verdict would shift the others.
# scope: subpackages
# schemas:
#   - input: schema["input.query_batch"]
package gateway.query_batch

import data.gateway.lib.frame
import data.gateway.lib.obligations
import data.gateway.lib.statements
import data.gateway.query

# METADATA
# title: The answers
# entrypoint: true
answers := _lifted if count(_lifted) == count(input.items)

else := object.union_n([_lifted, _granted, _judged])

# The short ways to a yes need no input of their own, and cost a fraction. First: a role without restriction.
_lifted := {id: decision |
	query.nobody_else_objects
	some id, item in input.items
	item.session.data_revision == frame.data_revision
	statements.all_known(item.session.roles)
	obligations.none_for(item.session.user)
	is_array(item.request.statements)
	lifting := statements.lifting(item.session.roles)
	count(lifting) > 0
	decision := query.permitted([lifting[0]])
}

# Then: every statement is granted. What `statements.understood` asks is written out, because a function's arguments
# are hashed at each call, and a whole statement is a large one.
_granted := {id: decision |
	query.nobody_else_objects
	some id, item in input.items
	not _lifted[id]
	item.session.data_revision == frame.data_revision
	statements.all_known(item.session.roles)
	obligations.none_for(item.session.user)
	is_array(item.request.statements)
	every statement in item.request.statements {
		statement.complete == true
		statement.class != "unknown"
		is_array(statement.effects)
		is_array(statement.settings)
		every effect in statement.effects {
			statements.effect_passes(effect, item.session)
		}
		every named in array.flatten([statement.functions, statement.operators, statement.casts]) {
			named.builtin == true
		}
		every setting in statement.settings {
			statements.may_set(setting)
		}
	}
	decision := query.permitted(item.session.roles)
}

_judged := {id: decision |
	some id, item in input.items
	not _lifted[id]
	not _granted[id]
	decision := query.decision with input as frame.question(item, input)
}
