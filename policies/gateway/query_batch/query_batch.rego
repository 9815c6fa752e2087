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
import data.gateway.lib.statements
import data.gateway.query

# METADATA
# title: The answers
# entrypoint: true
answers := object.union_n([_lifted, _granted, _judged])

# The short ways to a yes need no input of their own, and cost a fraction. First: a role without restriction.
_lifted := {id: decision |
	query.nobody_else_objects
	some id, item in input.items
	item.session.data_revision == frame.data_revision
	statements.all_known(item.session.roles)
	is_array(item.request.statements)
	decision := query.permitted([statements.lifting(item.session.roles)])
}

# Then: every statement is granted.
_granted := {id: decision |
	query.nobody_else_objects
	some id, item in input.items
	not _lifted[id]
	item.session.data_revision == frame.data_revision
	statements.all_known(item.session.roles)
	is_array(item.request.statements)
	every statement in item.request.statements {
		statements.passes(statement, item.session)
	}
	decision := query.permitted(item.session.roles)
}

_judged := {id: decision |
	some id, item in input.items
	not _lifted[id]
	not _granted[id]
	decision := query.decision with input as frame.question(item, input)
}
