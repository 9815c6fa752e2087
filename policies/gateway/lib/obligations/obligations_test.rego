package gateway.lib.obligations_test

import data.gateway.connect
import data.gateway.prepare
import data.gateway.query
import data.gateway.query_batch
import data.gateway.testing_test as t

_ssn := {"schema": "app", "table": "people", "columns": {"ssn": "partial"}}

_roles := {
	"wide": t.role({"allow": {}}),
	"masking": t.own({"allow": {}, "options": {"mask": [_ssn]}}),
	"bounding": t.own({"allow": {}, "options": {"max_rows": 10, "timeout_ms": 500}}),
	"holding": t.own({"allow": {}, "options": {"hold": {"seconds": 60, "reason": "why", "operations": ["DELETE"]}}}),
	"holding_all": t.own({"allow": {}, "options": {"hold": {}}}),
	"v7": t.role({"allow": {}, "options": {"max_rows": 10}}),
}

_data(users_roles) := t.pushed(_roles, {"alice": t.user(users_roles)}, [])

_decide(users_roles, statements) := decision if {
	decision := query.decision with input as t.query(["wide"], statements) with data.regate as _data(users_roles)
}

_owner := {"match": {"*": "*"}, "permissions": ["*"]}

_named(match, words) := t.role({"allow": {"db_permissions": [_owner, {"match": match, "permissions": words}]}})

# What somebody with all permissions, and with one more, may call whose role masks a column.
_calls(roles, kind, schema, name) := decision if {
	made := object.union(_roles, {
		"owner": t.role({"allow": {"db_permissions": [_owner]}}),
		"names": _named({"object_kind": "function", "schema": "app", "name": ["f", "g"]}, ["EXECUTE"]),
		"patterns": _named({"object_kind": "function", "schema": "app", "name": "f*"}, ["EXECUTE"]),
		"all_of_one": _named({"object_kind": "function", "schema": "app", "name": "f"}, ["*"]),
	})
	parts := {"function": "functions", "operator": "operators", "type": "casts"}
	calls := t.statement({parts[kind]: [{"schema": schema, "name": name, "builtin": false}]})
	question := t.query([role | some role in roles; role != "masking"], [calls])
	world := t.pushed(made, {"alice": t.user(roles)}, [])
	decision := query.decision with input as question with data.regate as world
	batch := {"contract": 1, "time": t.now, "items": {"x": object.remove(question, ["contract", "time"])}}
	answers := query_batch.answers with input as batch with data.regate as world
	answers.x == decision
}

test_what_conceals_wants_functions_to_be_named if {
	_calls(["owner"], "function", "pg_catalog", "query_to_xml").allow
	t.codes(_calls(["owner", "masking"], "function", "pg_catalog", "query_to_xml")) == ["function_not_granted"]
	t.codes(_calls(["owner", "masking"], "operator", "app", "===")) == ["operator_not_granted"]
	t.codes(_calls(["owner", "masking"], "type", "app", "mood")) == ["type_not_granted"]
	every name in ["f", "g"] {
		_calls(["names", "masking"], "function", "app", name).allow
	}
	t.codes(_calls(["names", "masking"], "function", "app", "h")) == ["function_not_granted"]
	t.codes(_calls(["names", "masking"], "operator", "app", "f")) == ["operator_not_granted"]
	t.codes(_calls(["patterns", "masking"], "function", "app", "f")) == ["function_not_granted"]
	t.codes(_calls(["all_of_one", "masking"], "function", "app", "f")) == ["function_not_granted"]
}

_guarded(obligations, statements) := decision if {
	decision := query.decision with input as t.query(["wide"], statements)
		with data.regate as t.awake(_data(["wide"]))
		with data.gateway.guards as {"rows": {"eu": {"obligations": obligations}}}
}

_people := t.statement({"effects": [t.effect("select", t.table("app", "people"))]})

_one := t.statement({"effects": [t.effect("select", null)]})

_begin := t.statement({"operation": "begin", "effects": [t.effect("begin", null)]})

_delete := t.statement({"operation": "delete", "class": "write", "effects": [t.effect("delete", t.table("app", "people"))]})

_statistics := t.statement({"effects": [t.effect("select", t.table("pg_catalog", "pg_stats"))]})

_mask := {"schema": "app", "table": "people", "column": "ssn", "how": "partial"}

test_nobody_asks_nothing_is_asked if {
	_decide(["wide"], [_people]).obligations == {}
}

test_an_obligation_counts_in_every_role_of_today if {
	_decide(["wide", "masking"], [_people]).obligations == {"mask": [_mask]}
	_decide(["wide", "bounding"], [_people]).obligations == {"max_rows": [10], "timeout_ms": [500]}
}

test_what_conceals_comes_with_what_touches if {
	_decide(["wide", "masking"], [_one]).obligations == {}
	_decide(["wide", "bounding"], [_one]).obligations == {"max_rows": [10], "timeout_ms": [500]}
	_decide(["wide", "bounding"], [_begin]).obligations == {}
	_decide(["wide", "bounding"], []).obligations == {}
}

test_the_batch_says_the_same if {
	every names in [["wide", "masking"], ["wide", "holding"], ["wide", "bounding"], ["wide"]] {
		every statement in [_people, _one, _delete, _begin, _statistics] {
			_batch(names, statement) == _decide(names, [statement])
		}
	}
}

_batch(names, statement) := answers.x if {
	answers := query_batch.answers with data.regate as _data(names)
		with data.gateway.inventory as {"team_guards": false}
		with input as {
			"contract": 1,
			"time": t.now,
			"items": {"x": object.remove(t.query(["wide"], [statement]), ["contract", "time"])},
		}
}

test_a_hold_names_operations if {
	_decide(["wide", "holding"], [_delete]).obligations == {"hold": [{"seconds": 60, "reason": "why"}]}
	_decide(["wide", "holding"], [_people]).obligations == {}
	_decide(["wide", "holding_all"], [_people]).obligations == {"hold": [{"seconds": 300, "reason": ""}]}
	_decide(["wide", "holding_all"], [_one]).obligations == {}
	unknown := t.statement({"complete": false})
	_decide(["wide", "holding"], [unknown]).obligations == {"hold": [{"seconds": 60, "reason": "why"}]}
}

test_where_something_is_concealed_all_must_be_understood if {
	t.codes(_decide(["wide", "masking"], [t.statement({"complete": false})])) == ["not_understood"]
	calls := t.statement({"functions": [{"schema": "app", "name": "f", "builtin": false}]})
	t.codes(_decide(["wide", "masking"], [calls])) == ["function_not_granted"]
	_decide(["wide", "bounding"], [calls]).allow
}

test_statistics_tell if {
	stats := t.statement({"effects": [t.effect("select", t.table("pg_catalog", "pg_stats"))]})
	t.codes(_decide(["wide", "masking"], [stats])) == ["mask_refused"]
	_decide(["wide"], [stats]).allow
	texts := t.statement({"effects": [t.effect("select", t.table("public", "pg_stat_statements"))]})
	t.codes(_decide(["wide", "masking"], [texts])) == ["mask_refused"]
	classes := t.statement({"effects": [t.effect("select", t.table("pg_catalog", "pg_class"))]})
	_decide(["wide", "masking"], [classes]).allow
}

test_a_guard_asks_too if {
	rows := {"row_filter": {"schema": "app", "table": "people"}}
	_guarded([rows], [_people]).obligations == {"row_filter": [{"schema": "app", "table": "people", "guard": "rows/eu"}]}
	_guarded({{"max_rows": 3}, {"mask": _mask}}, [_people]).obligations == {"mask": [_mask], "max_rows": [3]}
	_guarded([{"hold": {"seconds": 5, "reason": ""}}], [_people]).obligations == {"hold": [{"seconds": 5, "reason": ""}]}
}

test_what_a_guard_asks_wrongly_reaches_the_gateway_which_refuses_it if {
	_guarded(["x"], [_people]).obligations == {"malformed": ["rows/eu"]}
	_guarded([{"max_rows": false}], [_people]).obligations == {"max_rows": [false]}
	_guarded([{"hold": 3}], [_people]).obligations == {"hold": [3]}
	_guarded([{"unheard_of": null}], [_people]).obligations == {"unheard_of": [null]}
}

test_statements_of_an_obliged_user_are_restricted if {
	granted := connect.decision with input as t.connect(["obliged"], {}) with data.regate as t.pushed(
		{"obliged": t.own({
			"allow": {"db_labels": {"*": "*"}, "db_users": ["*"], "db_names": ["*"]},
			"options": {"max_rows": 5},
		})},
		{"alice": t.user(["obliged"])}, [],
	)
	granted.allow
	granted.restricted
}

_problems(version, options) := [problem.message |
	problems := prepare.problems with input as {"contract": 1, "document": {
		"kind": "role",
		"version": version,
		"metadata": {"name": "x"},
		"spec": {"options": options},
	}}
	some problem in problems
	problem.severity == "error"
]

test_options_are_checked_before_they_are_stored if {
	_problems("regate/v1", {"max_rows": 5, "timeout_ms": 5, "mask": [_ssn], "hold": {"seconds": 5}, "lock": "strict"}) == []
	every options in [
		{"max_rows": 0}, {"max_rows": 1.5}, {"max_rows": "5"}, {"timeout_ms": 86400001}, {"timeout_ms": -1},
		{"mask": {}}, {"mask": [{}]}, {"mask": [{"schema": "a", "table": "b", "columns": {}}]},
		{"mask": [{"schema": "a", "table": "*", "columns": {"c": "null"}}]},
		{"mask": [{"schema": "a", "table": "b", "columns": {"c": "blur"}}]},
		{"mask": [{"schema": "a", "table": "b", "columns": []}]},
		{"hold": 5}, {"hold": {"seconds": 0}}, {"hold": {"operations": ["delete"]}}, {"hold": {"operations": "DELETE"}},
		{"hold": {"until": 5}}, {"hold": {"reason": 1}},
	] {
		count(_problems("regate/v1", options)) == 1
	}
	_problems("regate/v1", {"max_rows": null, "mask": null, "hold": null}) == []
	_problems("v7", {"max_rows": 0}) == []
}

test_a_mistake_in_an_obligation_refuses_whoever_has_the_role if {
	every options in [{"mask": [{}]}, {"max_rows": 0}, {"hold": 1}] {
		index := prepare.index with input as {"contract": 1, "locks": [], "roles": {"x": t.own({"options": options})}}
		count(index.roles.x.refuses) == 1
		index.obliging == {}
	}
	index := prepare.index with input as {"contract": 1, "locks": [], "roles": _roles}
	index.roles.v7.refuses == ["options.max_rows"]
	index.obliging == {"masking": true, "bounding": true, "holding": true, "holding_all": true}
}
