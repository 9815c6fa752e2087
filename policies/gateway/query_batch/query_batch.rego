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
import data.gateway.lib.permissions
import data.gateway.lib.statements
import data.gateway.lib.switches
import data.gateway.query

# METADATA
# title: The answers
# entrypoint: true
answers := _granted if count(_granted) == count(input.items)

else := object.union(_granted, _judged)

# The short ways to a yes need no input of their own, and cost a fraction. They are for databases about which no guard
# has a say. They are written out: a call costs more than what is called, and what it is given is hashed each time.
#
# This one is for users from whom no role takes anything: then a role without restriction is enough, or that every
# statement is granted.
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
	not _burdened(session.user)
	session.data_revision == revision
	count(session.roles) > 0
	every name in session.roles {
		data.regate.index.roles[name]
	}
	switches.quiet(session.database)
	reasons := _reasons(session, item.request.statements)
}

# And this one for the others: what is granted must not be taken away, and comes with what their roles ask for.
_granted[id] := {
	"contract": frame.contract,
	"allow": true,
	"reasons": [{"code": "role_permits", "role": name} | some name in session.roles],
	"obligations": due,
	"policy_revision": frame.policy_revision,
	"data_revision": revision,
} if {
	revision := data.regate.data_revision
	some id, item in input.items
	session := item.session
	_burdened(session.user)
	session.data_revision == revision
	count(session.roles) > 0
	every name in session.roles {
		data.regate.index.roles[name]
	}
	switches.quiet(session.database)
	asked := item.request.statements
	is_array(asked)
	every statement in asked {
		_stands(statement, session)
	}
	due := obligations.due(obligations.of_roles(session.user), asked)
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
	_does_no_more(statement)
	every effect in statement.effects {
		_passes(effect, session)
	}
}

# Granted, on what no role denies anything about. It asks for more than some sessions need; what fails here is judged in full.
_stands(statement, session) if {
	_does_no_more(statement)
	denials := _denials(session.user)
	every effect in statement.effects {
		_is_given(effect, session)
		place := permissions.place(effect.object)
		every denial in denials {
			not regex.match(denial, place)
		}
		not obligations.tells(effect.object)
	}
}

# Its effects are all that it does.
_does_no_more(statement) if {
	statement.complete == true
	statement.class != "unknown"
	is_array(statement.effects)
	_all_builtin(statement.functions)
	_all_builtin(statement.operators)
	_all_builtin(statement.casts)
	is_array(statement.settings)
	every setting in statement.settings {
		statements.may_set(setting)
	}
}

# Where the objects lie about which the user's roles deny something.
_denials(user) := [data.regate.index.denying[name] | some name in data.regate.users[user].roles]

_is_given(effect, session) if _passes(effect, session)

_is_given(_, session) if count(statements.lifting(session.roles)) > 0

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
