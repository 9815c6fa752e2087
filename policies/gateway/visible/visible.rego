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

_databases := [shown |
	count(subject.objections(input.identity.user, input.time)) == 0
	some database in input.databases
	seeing := [role | some role in _effective; roles.sees(role, database, _who)]
	count(seeing) > 0
	not _hidden(database)
	shown := {
		"name": database.name,
		"db_users": sort({user |
			some role in seeing
			some user in roles.readable_users(role, _traits)
			not _denied_user(user)
		}),
		"db_names": sort({name |
			some role in seeing
			some name in roles.readable_names(role, database.protocol, _traits)
			not _denied_name(name)
		}),
	}
]

_all := [data.regate.index.roles[name] | some name in subject.roles_today(input.identity.user)]

_effective := [role |
	some name in subject.roles_effective(input.identity.user, input.identity.roles)
	role := data.regate.index.roles[name]
]

_traits := subject.traits(input.identity.user)

_who := {"name": input.identity.user, "traits": _traits}

_hidden(database) if {
	some role in _all
	roles.denies_database(role, database, _who)
}

_hidden(database) if {
	some role in _all
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
