# METADATA
# title: May this user log in, and for how long
# description: Asked once a password was right. Only locks, deletion and the roles' max_session_ttl count here.
# scope: subpackages
# schemas:
#   - input: schema["input.login"]
package gateway.login

import data.gateway.lib.frame
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

decision := frame.refusal(_objections) if count(_objections) > 0

decision := object.union(frame.stamp, {
	"allow": true,
	"reasons": [{"code": "user_known"}],
	"limits": {"max_session_seconds": min(_bounds) | count(_bounds) > 0},
}) if {
	count(_objections) == 0
}

_objections := subject.objections(input.user, input.time)

_bounds := {bound |
	some name in subject.roles_today(input.user)
	bound := data.regate.index.roles[name].limits.max_session_seconds
}
