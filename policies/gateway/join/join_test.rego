package gateway.join_test

import data.gateway.join
import data.gateway.testing_test as t

_production := {"name": "my-orders", "protocol": "postgres", "labels": {"env": "production", "team": "shop"}}

_scratch := {"name": "scratch", "protocol": "postgres", "labels": {"env": "dev"}}

_plain := {"name": "plain", "protocol": "postgres", "labels": {}}

_decide(grant, type, databases) := decision if {
	decision := join.decision with data.regate as t.pushed({}, {}, [])
		with input as {
			"contract": 1,
			"time": t.now,
			"grant": object.union({"types": ["db"]}, grant),
			"joining": {"type": type, "databases": databases},
		}
}

test_nothing_is_refused if {
	every nothing in [{}, null, {"grant": {"types": ["db"]}}, {"grant": {"types": "db"}, "joining": {"type": "db", "databases": []}}, {"grant": {"types": ["db"]}, "joining": {"type": "db"}}, {"joining": {"type": "db", "databases": []}}] {
		decision := join.decision with input as nothing with data.regate as t.pushed({}, {}, [])
		decision.allow == false
		t.codes(decision) == ["input_invalid"]
		decision.databases == []
	}
}

test_a_grant_without_bounds_allows_every_database if {
	decision := _decide({}, "db", [_production, _scratch, _plain])
	decision.allow
	decision.databases == ["my-orders", "scratch", "plain"]
	_decide({}, "db", []).allow
}

test_a_service_joins_as_what_the_token_is_for if {
	_decide({"types": ["proxy"]}, "proxy", []).allow
	_decide({"types": ["db", "proxy"]}, "proxy", []).allow
	_decide({"types": ["bot"]}, "bot", []).allow
	every case in [[["proxy"], "db"], [["db"], "proxy"], [["db"], "bot"], [["bot"], "db"], [["db"], "auth"], [[], "db"], [["*"], "db"]] {
		decision := _decide({"types": case[0]}, case[1], [])
		decision.allow == false
		t.codes(decision) == ["type_not_granted"]
	}
}

test_the_wrong_kind_is_granted_no_database if {
	_decide({"types": ["proxy"]}, "db", [_plain]).databases == []
	decision := _decide({"types": ["proxy"]}, "proxy", [_plain])
	decision.allow == false
	decision.databases == []
	t.codes(decision) == ["database_not_granted"]
}

test_labels_bound_what_may_be_served if {
	grant := {"labels": {"env": ["production", "staging"]}}
	_decide(grant, "db", [_production]).allow
	every database in [_scratch, _plain] {
		decision := _decide(grant, "db", [_production, database])
		decision.allow == false
		t.codes(decision) == ["database_not_granted"]
		decision.databases == ["my-orders"]
		contains(decision.reasons[0].message, database.name)
	}
	not _decide({"labels": {"env": ["production"], "team": ["data"]}}, "db", [_production]).allow
	_decide({"labels": {"team": ["s*"]}}, "db", [_production]).allow
	_decide({"labels": {"*": ["*"]}}, "db", [_plain]).allow
}

test_names_bound_what_may_be_served if {
	_decide({"databases": ["my-*", "plain"]}, "db", [_production, _plain]).allow
	not _decide({"databases": ["my-*"]}, "db", [_scratch]).allow
	not _decide({"databases": ["my"]}, "db", [_production]).allow
	_decide({"databases": ["*"]}, "db", [_scratch]).allow
	count(_decide({"databases": ["a"], "labels": {"env": ["production"]}}, "db", [_plain]).reasons) == 2
}

test_bounds_that_are_empty_or_no_bounds_allow_nothing if {
	every grant in [{"labels": {}}, {"labels": null}, {"labels": {"env": []}}, {"databases": []}, {"databases": null}, {"databases": ["{{internal.x}}"]}, {"labels": "env"}, {"databases": ["^[$"]}] {
		_decide(grant, "db", [_production]).allow == false
	}
}
