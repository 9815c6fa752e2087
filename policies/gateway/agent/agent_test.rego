package gateway.agent_test

import data.gateway.agent
import data.gateway.testing_test as t

_decide(service, verb, locks) := decision if {
	decision := agent.decision with data.regate as t.pushed({}, {}, locks)
		with input as {
			"contract": 1,
			"time": t.now,
			"agent": {"id": "db-1", "service": service, "token": "t"},
			"verb": verb,
		}
}

_lock(target, more) := {"spec": object.union({"target": target, "message": "stolen"}, more)}

test_nothing_is_refused if {
	every nothing in [{}, {"contract": 1}, null, [], "x", {"agent": {"id": "db-1"}}, {"agent": {"service": "db"}}] {
		decision := agent.decision with input as nothing with data.regate as {}
		decision.allow == false
		count(decision.reasons) > 0
	}
}

test_each_service_does_its_own_work if {
	every verb in ["serve", "mint", "register", "follow", "renew", "hold"] {
		_decide("db", verb, []).allow == true
	}
	every verb in ["open", "follow", "renew"] {
		_decide("proxy", verb, []).allow == true
	}
}

test_no_service_does_the_work_of_another if {
	every pair in [["proxy", "mint"], ["proxy", "hold"], ["proxy", "serve"], ["db", "open"], ["auth", "mint"], ["", "follow"]] {
		t.codes(_decide(pair[0], pair[1], [])) == ["service_may_not"]
	}
}

test_a_lock_on_it_refuses_everything if {
	every verb in ["serve", "mint", "register", "follow", "renew", "open"] {
		t.codes(_decide("db", verb, [_lock({"agent": "db-1"}, {})])) == ["locked"]
	}
}

test_a_lock_on_something_else_does_not if {
	every target in [{"agent": "db-2"}, {"user": "db-1"}, {"database": "db-1"}] {
		_decide("db", "serve", [_lock(target, {})]).allow == true
	}
	_decide("db", "serve", [_lock({"agent": "db-1"}, {"expires": "2020-01-01T00:00:00Z"})]).allow == true
}
