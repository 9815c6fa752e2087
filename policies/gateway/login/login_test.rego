package gateway.login_test

import data.gateway.login
import data.gateway.testing_test as t

_decide(user, roles, locks) := decision if {
	decision := login.decision with data.regate as t.pushed(roles, {"alice": t.user(object.keys(roles))}, locks)
		with input as {"contract": 1, "time": t.now, "user": user}
}

test_nothing_is_refused if {
	every nothing in [{}, null, {"user": "alice"}] {
		decision := login.decision with input as nothing with data.regate as {}
		decision.allow == false
	}
}

test_the_shortest_session_wins if {
	roles := {
		"a": t.role({"options": {"max_session_ttl": "8h"}}),
		"b": t.role({"options": {"max_session_ttl": "1h30m", "client_idle_timeout": "1m"}}),
		"c": t.role({}),
	}
	_decide("alice", roles, []).limits == {"max_session_seconds": 5400}
	_decide("alice", {"c": t.role({})}, []).limits == {}
}

test_locked_and_unknown_users_do_not_get_in if {
	t.codes(_decide("alice", {"a": t.role({})}, [{"spec": {"target": {"user": "alice"}}}])) == ["locked"]
	t.codes(_decide("eve", {"a": t.role({})}, [])) == ["user_unknown"]
}
