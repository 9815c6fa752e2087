# METADATA
# title: Many connect decisions at once
# description: |
#   Judges live sessions again when roles, locks or policy change, each with `gateway.connect`. What differs in nothing that
#   a decision reads is decided once: people with the same roles and traits, against whom the same stands.
# scope: subpackages
# schemas:
#   - input: schema["input.connect_batch"]
package gateway.connect_batch

import data.gateway.connect
import data.gateway.lib.frame
import data.gateway.lib.subject
import data.gateway.lib.switches

# METADATA
# title: The answers
# entrypoint: true
answers := object.union(_shared, _alone)

_shared[id] := decision if {
	some ids in _members
	decision := _decided[min(ids)]
	some id in ids
}

_decided[id] := decision if {
	some ids in _members
	id := min(ids)
	decision := connect.decision with input as frame.question(input.items[id], input)
}

_alone[id] := decision if {
	some id, item in input.items
	not _class(item)
	decision := connect.decision with input as frame.question(item, input)
}

_members[json.marshal(_class(item))] contains id if some id, item in input.items

# All that a decision reads of a question. There is none where more is read: a guard gets the user's name, and so does a
# label expression. What is not known here stays in it as it is.
_class(item) := [
	subject.objections(user, input.time),
	subject.database_locks(
		user,
		input.time,
		{"database": item.database.name, "db_user": item.db_user, "db_name": item.db_name},
	),
	roles,
	subject.roles_effective(user, item.identity.roles),
	subject.traits(user),
	_is_over(item.identity),
	_from(item, roles),
	object.remove(item.identity, ["login_address", "login_expires_ns", "roles", "user"]),
	object.remove(item, ["client_address", "identity", "session_id"]),
] if {
	user := item.identity.user
	roles := subject.roles_today(user)
	switches.quiet(item.database)
	count(roles & _naming) == 0
}

default _is_over(_) := false

_is_over(identity) if identity.login_expires_ns <= input.time

# Where somebody comes from, and logged in from, matters to roles that name networks or pin the address.
_from(_, roles) := [] if count(roles & _placing) == 0

_from(item, roles) := [item.client_address, item.identity] if count(roles & _placing) > 0

_used := {name |
	some item in input.items
	some name in subject.roles_today(item.identity.user)
}

# Roles whose label expressions may look at the user's name; one that is not there may be anything.
_naming := {name |
	some name in _used
	some side in ["allow", "deny"]
	not is_null(data.regate.index.roles[name][side].expression)
}

_placing := {name |
	some name in _used
	not _is_anywhere(data.regate.index.roles[name])
}

_is_anywhere(role) if {
	role.pins_address == false
	count(role.allow.networks) == 0
	count(role.deny.networks) == 0
}
