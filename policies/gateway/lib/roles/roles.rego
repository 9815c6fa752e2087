# METADATA
# title: What a role grants and takes away
# description: |
#   The only place where a role's selectors meet a database's labels. A role here is its entry in the index that
#   `gateway.prepare` made when data was published.
package gateway.lib.roles

import data.gateway.lib.expressions
import data.gateway.lib.labels
import data.gateway.lib.networks
import data.gateway.lib.windows

# Protocols of which Teleport looks at the database name, so that a role without `db_names` grants none.
_names_required := {"mongodb", "postgres", "sqlserver"}

# Protocols in which a session has no database name.
_nameless := {"elasticsearch", "redis"}

# The role lets this user, as `{name, traits}`, see this database: whatever of labels and expression is given must hold.
sees(role, database, who) if {
	role.grants == true
	_selects(role.allow.selects_by, role.allow, database.labels, who)
}

_selects("labels", part, found, who) if labels.selects(part.labels, found, who.traits)

_selects("expression", part, found, who) if expressions.holds(part.expression, found, who)

_selects("both", part, found, who) if {
	labels.selects(part.labels, found, who.traits)
	expressions.holds(part.expression, found, who)
}

# The role's deny part is about this database: one of the two is enough.
denies_database(role, database, who) if labels.selects(role.deny.labels, database.labels, who.traits)

denies_database(role, database, who) if expressions.holds(role.deny.expression, database.labels, who)

# Nobody knows what the deny's expression meant for this database.
deny_undecided(role, database, who) if expressions.undecided(role.deny.expression, database.labels, who)

# It is one of the role's hours; a role that names none has no end of work.
in_hours(role, _) if count(role.allow.windows) == 0

in_hours(role, now) if windows.open(role.allow.windows, now)

denies_hour(role, now) if windows.open(role.deny.windows, now)

# The client comes from one of the role's networks; a role that names none takes all.
from_network(role, _) if count(role.allow.networks) == 0

from_network(role, address) if networks.within(role.allow.networks, address)

denies_network(role, address) if networks.within(role.deny.networks, address)

# Where an address cannot be read, nobody knows whether it lies in a network that is denied.
denies_network(role, address) if {
	count(role.deny.networks) > 0
	not networks.is_address(address)
}

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
