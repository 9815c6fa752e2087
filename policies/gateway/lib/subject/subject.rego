# METADATA
# title: Who is asking, as of today
# description: |
#   The certificate caps, the store decides: what counts are the certificate's roles that the user still has, and the
#   traits of today. What takes away (denies, locks, options) counts for every role the user has.
package gateway.lib.subject

# The names of all roles the user has today; empty for a user who is not there.
roles_today(name) := {role | some role in data.regate.users[name].roles}

# The names of the roles that may grant something.
roles_effective(name, cap) := roles_today(name) & {role | some role in cap}

default traits(_) := {}

traits(name) := data.regate.users[name].traits

# What stands against the user whatever is asked for, in the order it is told.
objections(name, now) := array.flatten([
	_absent(name, now),
	_locked_out(name),
	_locks(name, now),
	_roles_missing(name),
])

_absent(name, now) := [{"code": "user_unknown", "message": "this user does not exist any more"} | not _exists(name, now)]

_exists(name, now) if {
	user := data.regate.users[name]
	not _is_over(user, now)
}

_is_over(thing, now) if thing.expires_ns <= now

_locked_out(name) := [{"code": "user_locked", "message": "this user is locked"} | data.regate.users[name].locked == true]

_roles_missing(name) := [reason |
	some role in sort(roles_today(name))
	not data.regate.index.roles[role]
	reason := {"code": "role_missing", "message": "one of this user's roles does not exist", "role": role}
]

_locks(name, now) := [_lock_reason(lock) |
	some lock in data.regate.index.locks
	not _is_over(lock, now)
	count(object.keys(lock.target) - {"user", "role"}) == 0
	_hits_person(lock.target, name)
]

# Locks that are about a database, or about a person on one.
database_locks(name, now, session) := [_lock_reason(lock) |
	some lock in data.regate.index.locks
	not _is_over(lock, now)
	count(object.keys(lock.target) - {"user", "role"}) > 0
	_hits_person(lock.target, name)
	every field in object.keys(lock.target) - {"user", "role"} {
		session[field] == lock.target[field]
	}
]

# Locks on a service that joined with a token.
agent_locks(id, now) := [_lock_reason(lock) |
	some lock in data.regate.index.locks
	not _is_over(lock, now)
	lock.target.agent == id
]

_lock_reason(lock) := {"code": "locked", "message": concat("", ["a lock is in force: ", lock.message])} if {
	lock.message != ""
} else := {"code": "locked", "message": "a lock is in force"}

# All that a target names must hold. A locked role locks whoever has it.
_hits_person(target, name) if {
	_names_or_leaves_out(target, "user", {name})
	_names_or_leaves_out(target, "role", roles_today(name))
}

_names_or_leaves_out(target, field, _) if not target[field]

_names_or_leaves_out(target, field, values) if target[field] in values
