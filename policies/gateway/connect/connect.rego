# METADATA
# title: May this user open this database as this database user
# description: |
#   Asked on every connect, and again for live sessions when roles, locks or policy change. One role must grant all
#   of it; any deny of any role of the user refuses. A database outside the user's view is answered exactly as one
#   that does not exist.
# scope: subpackages
# schemas:
#   - input: schema["input.connect"]
package gateway.connect

import data.gateway.lib.frame
import data.gateway.lib.guards
import data.gateway.lib.roles
import data.gateway.lib.subject

# METADATA
# title: The decision
# entrypoint: true
default decision := {
	"contract": 1,
	"allow": false,
	"reasons": [{"code": "input_invalid", "message": "the question is not one that can be answered"}],
	"policy_revision": "",
	"data_revision": -1,
}

decision := frame.refusal(_person) if count(_person) > 0

decision := frame.refusal([_not_found]) if {
	count(_person) == 0
	not _visible
}

decision := frame.refusal(_refusals) if {
	count(_person) == 0
	_visible
	count(_refusals) > 0
}

decision := object.union(frame.stamp, {
	"allow": true,
	"reasons": [{"code": "role_permits", "role": name} | some name in sort(_granting)],
	"roles": sort(_granting),
	"restricted": _restricted,
	"limits": _limits,
}) if {
	count(_person) == 0
	_visible
	count(_refusals) == 0
	count(_granting) > 0
}

_not_found := {"code": "database_not_found", "message": "there is no such database, or none that you may see"}

_person := array.concat(subject.objections(input.identity.user, input.time), _expired)

_expired := [{"code": "login_expired", "message": "the login behind this certificate has ended"} |
	input.identity.login_expires_ns <= input.time
]

# Every role of the user, for what takes away; and those that may grant.
_all := {name: data.regate.index.roles[name] | some name in subject.roles_today(input.identity.user)}

_effective := {name: _all[name] |
	some name in subject.roles_effective(input.identity.user, input.identity.roles)
}

_traits := subject.traits(input.identity.user)

_who := {"name": input.identity.user, "traits": _traits}

_seeing := {name |
	some name, role in _effective
	roles.sees(role, input.database, _who)
}

default _visible := false

_visible if {
	count(_seeing) > 0
	not _hidden
}

_hidden if {
	some role in _all
	roles.denies_database(role, input.database, _who)
}

_hidden if {
	some role in _all
	roles.deny_undecided(role, input.database, _who)
}

_by_user := {name |
	some name in _seeing
	roles.grants_user(_all[name], input.db_user, _traits)
}

_by_name := {name |
	some name in _seeing
	roles.grants_name(_all[name], input.database.protocol, input.db_name, _traits)
}

_by_hour := {name | some name in _seeing; roles.in_hours(_all[name], input.time)}

_by_network := {name | some name in _seeing; roles.from_network(_all[name], input.client_address)}

_granting := ((_by_user & _by_name) & _by_hour) & _by_network

_refusals := array.flatten([_denials, _locks, _unsupported, _missing_grants, _pinned, _too_many])

_denials := array.flatten([
	[reason |
		some name in sort(object.keys(_all))
		roles.denies_user(_all[name], input.db_user, _traits)
		told := sprintf("this role denies database user \"%s\"", [input.db_user])
		reason := {"code": "denied_by_role", "message": told, "role": name}
	],
	[reason |
		some name in sort(object.keys(_all))
		roles.denies_name(_all[name], input.db_name, _traits)
		told := sprintf("this role denies database name \"%s\"", [input.db_name])
		reason := {"code": "denied_by_role", "message": told, "role": name}
	],
	[{"code": "denied_by_role", "message": "this role denies this hour", "role": name} |
		some name in sort(object.keys(_all))
		roles.denies_hour(_all[name], input.time)
	],
	[{"code": "denied_by_role", "message": "this role denies the network that you come from", "role": name} |
		some name in sort(object.keys(_all))
		roles.denies_network(_all[name], input.client_address)
	],
])

_locks := subject.database_locks(
	input.identity.user,
	input.time,
	{"database": input.database.name, "db_user": input.db_user, "db_name": input.db_name},
)

_unsupported := array.concat(
	[reason |
		some name in sort(object.keys(_all))
		some field in _all[name].refuses
		told := sprintf("this role asks for %s, which is not carried out", [field])
		reason := {"code": "option_unsupported", "message": told, "role": name}
	],
	[reason |
		some name in sort(object.keys(_all))
		some text in sort(roles.unresolved_denials(_all[name], _traits))
		told := sprintf("a deny of this role needs a trait that is missing: %s", [text])
		reason := {"code": "template_unresolved", "message": told, "role": name}
	],
)

_missing_grants := [] if count(_granting) > 0

_missing_grants := array.flatten([
	[reason |
		some name in sort(_seeing - _by_user)
		told := sprintf("this role sees the database but does not list \"%s\" in its db_users", [input.db_user])
		reason := {"code": "db_user_not_granted", "message": told, "role": name}
	],
	[reason |
		some name in sort(_seeing - _by_name)
		told := sprintf("this role sees the database but does not list \"%s\" in its db_names", [input.db_name])
		reason := {"code": "db_name_not_granted", "message": told, "role": name}
	],
	[{"code": "outside_hours", "message": "this role grants nothing at this hour", "role": name} |
		some name in sort(_seeing - _by_hour)
	],
	[{"code": "network_not_granted", "message": "this role grants nothing to where you come from", "role": name} |
		some name in sort(_seeing - _by_network)
	],
	[reason |
		some name in sort(object.keys(_effective))
		some field in _effective[name].unsupported
		told := sprintf("this role uses %s, which is not carried out, and so grants nothing", [field])
		reason := {"code": "option_unsupported", "message": told, "role": name}
	],
]) if {
	count(_granting) == 0
}

# The certificate says where its login came from; one that does not say cannot be pinned to it.
_pinned := [{"code": "source_address_pinned", "message": told, "role": name} |
	told := "a role of yours wants connects from the address that you logged in from"
	some name in sort(object.keys(_all))
	_all[name].pins_address == true
	not _is_at_login_address
]

_is_at_login_address if {
	input.identity.login_address != ""
	input.identity.login_address == input.client_address
}

_too_many := [{"code": "too_many_connections", "message": told} |
	told := sprintf("at most %d connections at once are granted", [_limits.max_connections])
	input.active_connections >= _limits.max_connections
]

# The strictest of the user's roles wins.
_limits := {limit: min(bounds) |
	some limit in ["idle_seconds", "max_connections", "max_session_seconds"]
	bounds := [bound | some role in _all; bound := role.limits[limit]]
	count(bounds) > 0
}

default _restricted := true

# Only where nothing looks at statements are names left unresolved.
_restricted := false if {
	some name in _granting
	_all[name].restricted == false
	not _takes_away
	not _obliged
	not _guarded
}

_takes_away if {
	some role in _all
	count(role.permissions.deny) > 0
}

_obliged if {
	some role in _all
	count(role.obligations) > 0
}

_guarded if {
	count(guards.active) > 0 with input as {
		"contract": frame.contract,
		"time": input.time,
		"session": {
			"user": input.identity.user,
			"roles": sort(_granting),
			"data_revision": frame.data_revision,
			"database": input.database,
			"db_user": input.db_user,
			"db_name": input.db_name,
		},
		"request": {"statements": []},
	}
}
