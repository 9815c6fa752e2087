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
import data.gateway.lib.switches

# METADATA
# title: The answers
# entrypoint: true
answers := object.union(_shared, _alone)

_shared := {id: _decided[alike] | some id, alike in _alike}

_alone := {id: _decision(item) |
	some id, item in input.items
	not _shared[id]
}

# One of those that are alike is asked for all of them.
_decided := {alike: _decision(item) |
	some alike, id in object.union_n([{alike: id} | some id, alike in _alike])
	item := input.items[id]
	switches.quiet(item.database)
	not _looks_closer(item.identity.user)
}

_decision(item) := decision if {
	decision := connect.decision with input as frame.question(item, input)
}

# All that a decision reads of a question. What is not known here stays in it as it is.
_alike[id] := [user, named, is_over, identity, rest] if {
	some id, item in input.items
	user := [found | found := data.regate.users[item.identity.user]]
	named := {item.identity.user} & _locked
	is_over := item.identity.login_expires_ns <= input.time
	identity := object.remove(item.identity, ["login_address", "login_expires_ns", "user"])
	rest := object.remove(item, ["client_address", "identity", "session_id"])
}

# Who is told apart by name, for a lock names them.
_locked := {lock.target.user | some lock in data.regate.index.locks}

_looks_closer(user) if {
	some name in data.regate.users[user].roles
	not _is_general(data.regate.index.roles[name])
}

# It looks neither at the address nor, in a label expression, at the user's name; one that is not there may look at anything.
_is_general(role) if {
	role.pins_address == false
	every part in [role.allow, role.deny] {
		count(part.networks) == 0
		is_null(part.expression)
	}
}
