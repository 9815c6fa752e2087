package gateway.query_test

import data.gateway.query
import data.gateway.query_batch
import data.gateway.testing_test as t

_select_app := {"match": {"object_kind": "table", "schema": "app", "name": ["orders", "customers"]}, "permissions": ["SELECT"]}

_reader(permissions) := t.role({"allow": {"db_permissions": permissions}})

_roles := {
	"wide": t.role({"allow": {}}),
	"reader": _reader([_select_app]),
	"patterns": _reader([{"match": {"object_kind": "table", "schema": "app", "name": "ord*"}, "permissions": ["SELECT", "UPDATE"]}]),
	"owner": _reader([{"match": {"*": "*"}, "permissions": ["*"]}]),
	"caller": _reader([
		{"match": {"object_kind": ["function", "operator", "type"], "schema": "app"}, "permissions": ["EXECUTE"]},
		_select_app,
	]),
	"here": _reader([{"match": {"object_kind": "table", "database_service_name": "orders-db", "database": "app", "protocol": "postgres"}, "permissions": ["SELECT"]}]),
	"elsewhere": _reader([{"match": {"object_kind": "table", "database": "other"}, "permissions": ["SELECT"]}]),
	"everything": _reader([{"match": {"*": "*"}, "permissions": ["SELECT", "INSERT"]}]),
	"nothing": _reader([{"match": {}, "permissions": ["SELECT"]}]),
	"denier": t.role({"deny": {"db_permissions": [{"match": {"schema": "secret"}, "permissions": ["*"]}]}}),
}

_data := t.pushed(object.remove(_roles, ["denier"]), {"alice": t.user(["wide", "reader"])}, [])

_denied_data := t.pushed(_roles, {"alice": t.user(["wide", "owner", "denier"])}, [])

_decide(roles, statements) := decision if {
	decision := query.decision with input as t.query(roles, statements) with data.regate as _data
}

# The batch must say what the single question says, whichever way it takes.
_batch(roles, statements) := answers.x if {
	question := t.query(roles, statements)
	answers := query_batch.answers with data.regate as _data with input as {
		"contract": 1,
		"time": t.now,
		"items": {"x": object.remove(question, ["contract", "time"])},
	}
}

_allowed(roles, statement) if {
	_decide(roles, [statement]).allow == true
	_batch(roles, [statement]) == _decide(roles, [statement])
}

_code(roles, statement) := t.codes(_decide(roles, [statement]))[0] if {
	_decide(roles, [statement]).allow == false
	_batch(roles, [statement]) == _decide(roles, [statement])
}

_reads(thing) := t.statement({"effects": [t.effect("select", thing)]})

_does(operation, thing) := t.statement({"class": "write", "effects": [t.effect(operation, thing)]})

_sets(name, scope, value) := t.statement({
	"operation": "set",
	"class": "session",
	"effects": [t.effect("set", null)],
	"settings": [{"name": name, "scope": scope, "value": value}],
})

_orders := t.table("app", "orders")

test_nothing_is_refused if {
	every nothing in [{}, {"contract": 1}, {"session": {}, "request": {}}, null, [], "x", {"session": null}] {
		decision := query.decision with input as nothing with data.regate as _data
		decision.allow == false
		count(decision.reasons) > 0
	}
}

test_no_data_no_yes if {
	decision := query.decision with input as t.query(["wide"], [t.statement({})]) with data.regate as {}
	t.codes(decision) == ["stale_session", "role_missing"]
}

test_a_batch_of_nothing_answers_nothing if {
	every nothing in [{}, {"items": {}}, null, {"items": null}] {
		answers := query_batch.answers with input as nothing with data.regate as _data
		answers == {}
	}
}

test_every_item_of_a_batch_gets_an_answer_of_its_own if {
	good := object.remove(t.query(["reader"], [_reads(_orders)]), ["contract", "time"])
	wide := object.remove(t.query(["wide"], [t.statement({"complete": false})]), ["contract", "time"])
	bad := object.remove(t.query(["reader"], [_reads(t.table("app", "salaries"))]), ["contract", "time"])
	answers := query_batch.answers with data.regate as _data with input as {
		"contract": 1,
		"time": t.now,
		"items": {"a": good, "b": {}, "c": bad, "d": wide, "e": null},
	}
	{id: answer.allow | some id, answer in answers} == {"a": true, "b": false, "c": false, "d": true, "e": false}
}

test_a_session_from_other_data_is_stale if {
	question := object.union(t.query(["wide"], [t.statement({})]), {"session": {"data_revision": 6}})
	decision := query.decision with input as question with data.regate as _data
	t.codes(decision) == ["stale_session"]
}

test_a_session_without_a_role_gets_nothing if {
	decision := _decide([], [t.statement({})])
	decision.allow == false
	not _decide([], []).allow
	_decide(["gone"], []).reasons[0].code == "role_missing"
	_decide(["wide", "gone"], []).reasons[0].code == "role_missing"
	not _batch(["wide", "gone"], []).allow
}

test_an_empty_request_is_let_through if {
	_decide(["reader"], []).allow
	_decide(["wide"], []).allow
}

test_statements_that_are_no_list_are_refused if {
	every statements in [null, {}, "x", 1] {
		_decide(["wide"], statements).allow == false
		_decide(["reader"], statements).allow == false
		_batch(["wide"], statements).allow == false
		_batch(["reader"], statements).allow == false
	}
}

test_a_role_without_permissions_lifts_the_restriction if {
	_allowed(["wide"], t.statement({"complete": false, "class": "unknown"}))
	_decide(["reader", "wide"], [_does("drop", t.table("x", "y"))]).allow
	_decide(["reader", "wide"], [_does("drop", t.table("x", "y"))]).reasons[0].code == "role_permits"
}

test_what_the_reader_may if {
	every statement in [
		_reads(_orders),
		_reads(t.table("app", "customers")),
		_reads(null),
		_does("copy_out", _orders),
		_does("copy_out", null),
		_does("show", {"kind": "setting", "catalog": "", "schema": "", "name": "TimeZone"}),
		_does("show", {"kind": "setting", "catalog": "", "schema": "", "name": "version_comment"}),
		_sets("autocommit", "session", "0"),
		_sets("character_set_client", "session", "utf8mb4"),
		_sets("collation_connection", "session", "latin1_swedish_ci"),
		_sets("sql_mode", "session", "STRICT_TRANS_TABLES, NO_ZERO_DATE"),
		_sets("sql_mode", "session", "@@sql_mode,STRICT_TRANS_TABLES"),
		_sets("sql_mode", "session", ""),
		_does("deallocate", {"kind": "prepared", "catalog": "", "schema": "", "name": "p"}),
		_reads(object.union(_orders, {"catalog": "app"})),
		t.statement({"effects": [t.effect("begin", null)], "class": "session"}),
		t.statement({"effects": [t.effect("rollback", null)], "class": "session"}),
		t.statement({"effects": [t.effect("select", _orders)], "functions": [{"schema": "pg_catalog", "name": "count", "builtin": true}]}),
		_sets("application_name", "session", "psql"),
		_sets("DateStyle", "startup", "ISO"),
		_sets("TimeZone", "local", null),
		_sets("client_encoding", "startup", "UTF8"),
		_sets("client_encoding", "session", "'utf-8'"),
		_sets("standard_conforming_strings", "session", "on"),
		_sets("transaction_read_only", "local", "on"),
	] {
		_allowed(["reader"], statement)
	}
}

test_what_the_reader_may_not if {
	every case in [
		[_reads(t.table("app", "salaries")), "operation_not_granted"],
		[_reads(t.table("secret", "orders")), "operation_not_granted"],
		[_reads(t.table("", "orders")), "operation_not_granted"],
		[_reads(object.union(_orders, {"kind": "view"})), "operation_not_granted"],
		[_does("insert", _orders), "operation_not_granted"],
		[_does("delete", _orders), "operation_not_granted"],
		[_does("copy_in", _orders), "operation_not_granted"],
		[_does("lock", _orders), "operation_not_granted"],
		[_does("drop", _orders), "operation_not_granted"],
		[_does("listen", null), "operation_not_granted"],
		[_does("explain", null), "operation_not_granted"],
		[_does("show", {"kind": "setting", "catalog": "", "schema": "", "name": "all"}), "operation_not_granted"],
		[_does("prepare", {"kind": "prepared", "catalog": "", "schema": "", "name": "p"}), "operation_not_granted"],
		[_reads(object.union(_orders, {"catalog": "other"})), "operation_not_granted"],
		[_does("vacuum", null), "operation_not_granted"],
		[_does("begin", _orders), "operation_not_granted"],
		[t.statement({"complete": false}), "not_understood"],
		[t.statement({"complete": "true"}), "not_understood"],
		[object.remove(t.statement({}), ["effects"]), "not_understood"],
		[object.remove(t.statement({}), ["functions"]), "not_understood"],
		[t.statement({"operators": null}), "not_understood"],
		[t.statement({"casts": {}}), "not_understood"],
		[t.statement({"settings": "x"}), "not_understood"],
		[t.statement({"class": "unknown"}), "not_understood"],
		[t.statement({"functions": [{"schema": "app", "name": "f", "builtin": false}]}), "function_not_granted"],
		[t.statement({"functions": [{"schema": "", "name": "f"}]}), "function_not_granted"],
		[t.statement({"operators": [{"schema": "app", "name": "@@@", "builtin": false}]}), "operator_not_granted"],
		[t.statement({"casts": [{"schema": "app", "name": "t", "builtin": false}]}), "type_not_granted"],
		[_sets("search_path", "session", "app"), "setting_refused"],
		[_sets("role", "session", "admin"), "setting_refused"],
		[_sets("session_authorization", "session", "admin"), "setting_refused"],
		[_sets("client_encoding", "session", "SJIS"), "setting_refused"],
		[_sets("client_encoding", "session", null), "setting_refused"],
		[_sets("standard_conforming_strings", "session", "off"), "setting_refused"],
		[_sets("backslash_quote", "session", "on"), "setting_refused"],
		[_sets("sql_mode", "session", "STRICT_TRANS_TABLES,ANSI_QUOTES"), "setting_refused"],
		[_sets("sql_mode", "session", "@@sql_mode,NO_BACKSLASH_ESCAPES"), "setting_refused"],
		[_sets("sql_mode", "session", null), "setting_refused"],
		[_sets("sql_mode", "global", ""), "setting_refused"],
		[_sets("character_set_client", "session", "gbk"), "setting_refused"],
		[_sets("character_set_client", "session", null), "setting_refused"],
		[_sets("collation_connection", "session", "sjis_japanese_ci"), "setting_refused"],
		[_sets("collation_connection", "session", null), "setting_refused"],
		[_sets("autocommit", "global", "0"), "setting_refused"],
		[_sets("default_transaction_read_only", "session", "off"), "setting_refused"],
		[_sets("transaction_read_only", "local", "off"), "setting_refused"],
		[_sets("row_security", "session", "off"), "setting_refused"],
		[_sets("application_name", "role", "x"), "setting_refused"],
		[_sets("application_name", "database", "x"), "setting_refused"],
		[_sets("ALL", "session", null), "setting_refused"],
	] {
		_code(["reader"], case[0]) == case[1]
	}
}

test_one_effect_that_is_not_granted_refuses_all if {
	_code(["reader"], t.statement({"effects": [t.effect("select", _orders), t.effect("delete", _orders)]})) == "operation_not_granted"
	_decide(["reader"], [_reads(_orders), _does("delete", _orders)]).allow == false
}

test_permissions_by_pattern if {
	_allowed(["patterns"], _reads(_orders))
	_allowed(["patterns"], _does("update", _orders))
	_allowed(["patterns"], _does("lock", _orders))
	_code(["patterns"], _reads(t.table("app", "customers"))) == "operation_not_granted"
	_allowed(["here"], _reads(t.table("any", "thing")))
	_code(["elsewhere"], _reads(_orders)) == "operation_not_granted"
	_code(["nothing"], _reads(_orders)) == "operation_not_granted"
}

test_a_permission_for_everything if {
	_allowed(["owner"], _does("drop", _orders))
	_allowed(["owner"], _does("listen", null))
	_allowed(["owner"], _does("copy_out", {"kind": "program", "catalog": "", "schema": "", "name": ""}))
	_code(["everything"], _does("copy_out", {"kind": "program", "catalog": "", "schema": "", "name": ""})) == "operation_not_granted"
	_code(["everything"], _does("copy_in", {"kind": "file", "catalog": "", "schema": "", "name": ""})) == "operation_not_granted"
	_allowed(["everything"], _does("copy_out", _orders))
	_code(["owner"], t.statement({"complete": false})) == "not_understood"
	_code(["owner"], _sets("search_path", "session", "x")) == "setting_refused"
}

test_functions_operators_and_types_may_be_granted if {
	_allowed(["caller"], t.statement({"functions": [{"schema": "app", "name": "f", "builtin": false}]}))
	_allowed(["caller"], t.statement({"operators": [{"schema": "app", "name": "@@@", "builtin": false}]}))
	_allowed(["caller"], t.statement({"casts": [{"schema": "app", "name": "t", "builtin": false}]}))
	_code(["caller"], t.statement({"functions": [{"schema": "other", "name": "f", "builtin": false}]})) == "function_not_granted"
}

test_a_deny_takes_away_from_every_role if {
	every roles in [["wide"], ["owner"], ["wide", "owner"]] {
		denied := query.decision with input as t.query(roles, [_reads(t.table("secret", "pay"))]) with data.regate as _denied_data
		"operation_denied" in t.codes(denied)
		allowed := query.decision with input as t.query(roles, [_reads(_orders)]) with data.regate as _denied_data
		allowed.allow == true
		unknown := query.decision with input as t.query(roles, [t.statement({"complete": false})]) with data.regate as _denied_data
		unknown.allow == false
		calls := query.decision with data.regate as _denied_data
			with input as t.query(roles, [t.statement({"functions": [{"schema": "secret", "name": "f", "builtin": false}]})])
		t.codes(calls) == ["function_not_granted"]
	}
	unnamed := query.decision with input as t.query(["wide"], [_does("listen", null)]) with data.regate as _denied_data
	unnamed.allow == true
}

_statistics := _reads(t.table("pg_catalog", "pg_stats"))

_with_statistics := object.union(_roles, {
	"looker": _reader([{"match": {"object_kind": "table", "schema": "pg_catalog", "name": "pg_stats"}, "permissions": ["SELECT"]}]),
	"keeper": t.role({"deny": {"db_permissions": [{"match": {"schema": "secret"}, "permissions": ["DELETE"]}]}}),
})

test_what_a_role_denies_is_not_read_in_the_statistics if {
	denied := t.pushed(_with_statistics, {"alice": t.user(["wide", "looker", "denier"])}, [])
	decision := query.decision with input as t.query(["wide"], [_statistics]) with data.regate as denied
	t.codes(decision) == ["operation_denied"]
	meant := query.decision with input as t.query(["wide", "looker"], [_statistics]) with data.regate as denied
	meant.allow == true
	kept := t.pushed(_with_statistics, {"alice": t.user(["wide", "keeper"])}, [])
	other := query.decision with input as t.query(["wide"], [_statistics]) with data.regate as kept
	other.allow == true
}

_awake_data := t.awake(_data)

_guard := {"schema": {"no-drop": {"deny": [{"code": "drop_refused", "message": "no", "extra": 1}]}}}

test_a_guard_objects_whatever_the_role if {
	decision := query.decision with input as t.query(["wide"], [t.statement({})]) with data.regate as _awake_data with data.gateway.guards as _guard
	decision.allow == false
	decision.reasons == [{"code": "drop_refused", "message": "no", "guard": "schema/no-drop"}]
}

test_a_guard_that_objects_without_a_code_still_refuses if {
	every objection in ["no", {}, {"code": 1}, {"code": "x", "message": 1}] {
		decision := query.decision with input as t.query(["wide"], [t.statement({})])
			with data.regate as _awake_data
			with data.gateway.guards as {"a": {"b": {"deny": [objection]}}}
		t.codes(decision) == ["guard_refused"]
	}
}

test_where_a_guard_is_active_all_must_be_understood if {
	unknown := t.query(["wide"], [t.statement({"complete": false, "unknown_reason": "do_block"})])
	refused := query.decision with input as unknown with data.regate as _awake_data with data.gateway.guards as {"a": {"b": {"deny": []}}}
	refused.reasons == [{"code": "not_understood", "message": "the statement was not fully understood (do_block)"}]
	allowed := query.decision with input as unknown with data.regate as _awake_data with data.gateway.guards as {"a": {"b": {"applies": false}}}
	allowed.allow == true
}

test_reasons_say_what_is_missing if {
	_decide(["reader"], [_does("delete", _orders)]).reasons[0].message == "no role grants delete table app.orders"
	_decide(["reader"], [_reads(t.table("", "x"))]).reasons[0].message == "no role grants select table x"
	_decide(["reader"], [_does("listen", null)]).reasons[0].message == "no role grants listen"
}
