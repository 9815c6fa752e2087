# METADATA
# title: May a service elsewhere do this
# description: |
#   Asked on every call of a proxy or database service that joined with a token: to take a session, to have a
#   certificate minted, to register a database, to be told of changes. A lock on it refuses all of them.
# scope: subpackages
# schemas:
#   - input: schema["input.agent"]
package gateway.agent

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

decision := frame.refusal(_locks) if count(_locks) > 0

decision := frame.refusal([{"code": "service_may_not", "message": told}]) if {
	count(_locks) == 0
	is_string(input.verb)
	is_string(input.agent.service)
	not _is_its_work
	told := sprintf("a %s service may not %s", [input.agent.service, input.verb])
}

decision := object.union(frame.stamp, {"allow": true, "reasons": [{"code": "service_known"}]}) if {
	count(_locks) == 0
	_is_its_work
}

default _locks := []

_locks := subject.agent_locks(input.agent.id, input.time) if is_string(input.agent.id)

_is_its_work if {
	is_string(input.agent.id)
	input.verb in _work[input.agent.service]
}

# What each service is for. A proxy opens sessions and mints nothing; a database service never opens one.
_work := {
	"db": {"serve", "mint", "register", "follow", "renew", "hold"},
	"proxy": {"open", "follow", "renew"},
}
