# METADATA
# title: May this subject do this to a resource
# description: Asked on every call that reads or changes a resource. Whoever is on the host itself may do all.
# scope: subpackages
# schemas:
#   - input: schema["input.admin"]
package gateway.admin

import data.gateway.lib.frame
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

decision := _allowed([{"code": "local_admin"}]) if input.subject.kind == "local"

decision := frame.refusal(_person) if count(_person) > 0

decision := frame.refusal([{"code": "denied_by_role", "message": _sentence("this role denies"), "role": name} |
	some name in _denying
]) if {
	_is_user
	count(_person) == 0
	count(_denying) > 0
}

decision := _allowed([{"code": "role_permits", "role": name} | some name in _granting]) if {
	_is_user
	count(_person) == 0
	count(_denying) == 0
	count(_granting) > 0
}

decision := frame.refusal([{"code": "rule_missing", "message": _sentence("no role of yours has a rule for")}]) if {
	_is_user
	count(_person) == 0
	count(_denying) == 0
	count(_granting) == 0
}

_is_user if {
	input.subject.kind == "user"
	is_string(input.resource.kind)
	is_string(input.verb)
}

default _person := []

_person := array.concat(subject.objections(input.subject.name, input.time), _own_hold) if _is_user

# The second person is another one. A hold goes by the name of whoever waits.
_own_hold := [{"code": "own_hold", "message": "somebody else must answer what you wait for"} |
	input.resource.kind == "hold"
	input.verb == "update"
	input.resource.name == input.subject.name
]

_allowed(reasons) := object.union(frame.stamp, {"allow": true, "reasons": reasons})

_sentence(opening) := sprintf("%s %s on %s", [opening, input.verb, input.resource.kind])

_granting := [name |
	some name in sort(subject.roles_effective(input.subject.name, input.subject.roles))
	some rule in data.regate.index.roles[name].rules.allow
	roles.covers(rule, input.verb, input.resource.kind)
]

_denying := [name |
	some name in sort(subject.roles_today(input.subject.name))
	some rule in data.regate.index.roles[name].rules.deny
	roles.covers(rule, input.verb, input.resource.kind)
]
