# METADATA
# title: Which databases a user sees
# description: One question for all databases, for lists. What is listed is what `gateway.connect` would not call unknown.
# scope: subpackages
# schemas:
#   - input: schema["input.visible"]
package gateway.visible

import data.gateway.lib.frame
import data.gateway.lib.roles
import data.gateway.lib.subject

# METADATA
# title: The list
# entrypoint: true
decision := {
	"contract": frame.contract,
	"databases": _databases,
	"policy_revision": frame.policy_revision,
	"data_revision": frame.data_revision,
}

# Lists are long, and few of the labels in them decide: what a database is opened with is worked out once for each
# combination of the labels that some role looks at. OPA keeps what a function said to the same arguments.
_databases := [shown |
	count(subject.objections(input.identity.user, input.time)) == 0
	some database in input.databases
	found := _telling(database.labels)
	_is_shown(found) == true
	shown := object.union({"name": database.name}, _openings(found, database.protocol))
]

default _is_shown(_) := false

_is_shown(found) if {
	count(_seeing(found)) > 0
	not _hidden({"labels": found})
}

_seeing(found) := [role | some role in _effective; roles.sees(role, {"labels": found}, _who)]

_openings(found, protocol) := {
	"db_users": sort({user |
		some role in _seeing(found)
		some user in roles.readable_users(role, _traits)
		not _denied_user(user)
	}),
	"db_names": sort({name |
		some role in _seeing(found)
		some name in roles.readable_names(role, protocol, _traits)
		not _denied_name(name)
	}),
}

_telling(found) := object.filter(found, _looked_at) if _by_expression == false

_telling(found) := found if _by_expression == true

# An expression may look at any label.
default _by_expression := false

_by_expression if {
	some side in _sides
	not side.expression == null
}

_looked_at := {key | some side in _sides; some key, _ in side.labels.keys}

_sides := array.concat([role.allow | some role in _effective], [role.deny | some role in _hiding])

_all := [data.regate.index.roles[name] | some name in subject.roles_today(input.identity.user)]

_effective := [role |
	some name in subject.roles_effective(input.identity.user, input.identity.roles)
	role := data.regate.index.roles[name]
]

# Roles whose denies are about databases.
_hiding := [role | some role in _all; _may_hide(role.deny)]

_may_hide(deny) if not deny.labels == _no_labels

_may_hide(deny) if not deny.expression == null

_no_labels := {"all": false, "keys": {}}

_traits := subject.traits(input.identity.user)

_who := {"name": input.identity.user, "traits": _traits}

_hidden(database) if {
	some role in _hiding
	roles.denies_database(role, database, _who)
}

_hidden(database) if {
	some role in _hiding
	roles.deny_undecided(role, database, _who)
}

_denied_user(user) if {
	some role in _all
	roles.denies_user(role, user, _traits)
}

_denied_name(name) if {
	some role in _all
	roles.denies_name(role, name, _traits)
}
