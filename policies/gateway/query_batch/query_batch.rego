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
import data.gateway.lib.switches
import data.gateway.query

# METADATA
# title: The answers
# entrypoint: true
answers := _granted if count(_granted) == count(input.items)

else := object.union(_granted, _judged)

# The short ways to a yes need no input of their own, and cost a fraction. They are for sessions about which nobody but
# the granting roles has a say: then a role without restriction is enough, or that every statement is granted. They are
# written out: a call costs more than what is called, and what it is given is hashed each time.
_granted[id] := {
	"contract": frame.contract,
	"allow": true,
	"reasons": reasons,
	"obligations": {},
	"policy_revision": frame.policy_revision,
	"data_revision": revision,
} if {
	revision := data.regate.data_revision
	some id, item in input.items
	session := item.session
	session.data_revision == revision
	count(session.roles) > 0
	every name in session.roles {
		data.regate.index.roles[name]
	}
	not _burdened(session.user)
	switches.quiet(session.database)
	reasons := _reasons(session, item.request.statements)
}

# Denies and obligations hold whichever role granted the session.
_burdened(user) if {
	some name in data.regate.users[user].roles
	data.regate.index.denying[name]
}

_burdened(user) if {
	some name in data.regate.users[user].roles
	data.regate.index.obliging[name]
}

_reasons(session, asked) := [{"code": "role_permits", "role": lifting[0]}] if {
	is_array(asked)
	lifting := [name | some name in session.roles; data.regate.index.roles[name].restricted == false]
	count(lifting) > 0
} else := [{"code": "role_permits", "role": name} | some name in session.roles] if {
	is_array(asked)
	every statement in asked {
		_granted_in_full(statement, session)
	}
}

_granted_in_full(statement, session) if {
	statement.complete == true
	statement.class != "unknown"
	is_array(statement.effects)
	every effect in statement.effects {
		_passes(effect, session)
	}
	_all_builtin(statement.functions)
	_all_builtin(statement.operators)
	_all_builtin(statement.casts)
	is_array(statement.settings)
	every setting in statement.settings {
		statements.may_set(setting)
	}
}

_all_builtin([])

_all_builtin(listed) if {
	is_array(listed)
	every named in listed {
		named.builtin == true
	}
}

_passes(effect, session) if {
	effect.object.catalog == session.db_name
	some name in session.roles
	data.regate.index.roles[name].exact[effect.object.kind][effect.object.schema][effect.object.name][effect.operation]
} else if statements.effect_passes(effect, session)

_judged := {id: decision |
	some id, item in input.items
	not _granted[id]
	decision := query.decision with input as frame.question(item, input)
}
