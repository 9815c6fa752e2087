# METADATA
# title: What a role grants and takes away
# description: |
#   The only place where a role's selectors meet a database's labels. A role here is its entry in the index that
#   `gateway.prepare` made when data was published.
package gateway.lib.roles

import data.gateway.lib.labels

# Protocols of which Teleport looks at the database name, so that a role without `db_names` grants none.
_names_required := {"mongodb", "postgres", "sqlserver"}

# Protocols in which a session has no database name.
_nameless := {"elasticsearch", "redis"}

# The role lets the user see this database.
sees(role, database, traits) if {
	role.grants == true
	labels.selects(role.allow.labels, database.labels, traits)
}

# The role's deny part is about this database.
denies_database(role, database, traits) if labels.selects(role.deny.labels, database.labels, traits)

grants_user(role, db_user, traits) if labels.matches(role.allow.users, db_user, traits)

denies_user(role, db_user, traits) if labels.matches(role.deny.users, db_user, traits)

denies_name(role, db_name, traits) if labels.matches(role.deny.names, db_name, traits)

grants_name(role, _, db_name, traits) if {
	role.allow.names_given == true
	labels.matches(role.allow.names, db_name, traits)
}

grants_name(role, protocol, _, _) if {
	role.allow.names_given == false
	role.names_may_be_absent == true
	not protocol in _names_required
}

grants_name(_, protocol, "", _) if protocol in _nameless

# Templates in the deny part that yield nothing: what they would have refused is not known.
unresolved_denials(role, traits) := union({
	labels.unresolved(role.deny.users, traits),
	labels.unresolved(role.deny.names, traits),
	{text | some matcher in role.deny.labels.keys; some text in labels.unresolved(matcher, traits)},
})

# What a user may be and may open, for a list; null where the name does not matter.
readable_users(role, traits) := labels.readable(role.allow.users, traits)

readable_names(role, protocol, traits) := labels.readable(role.allow.names, traits) if {
	role.allow.names_given == true
} else := {"*"} if grants_name(role, protocol, "", traits)

else := set()

# Whether a rule about resources covers this verb on this kind.
covers(rule, verb, kind) if {
	_listed(rule.resources, kind)
	_listed(_verbs(rule), verb)
}

_listed(values, _) if "*" in values

_listed(values, value) if value in values

# Reading includes reading without secrets.
_verbs(rule) := rule.verbs if not "read" in rule.verbs

_verbs(rule) := array.concat(rule.verbs, ["readnosecrets"]) if "read" in rule.verbs
