package gateway.guard_tests.reads["bounded-pii_test"]

import data.gateway.testing_test as t

_said(switches, labels, statements) := codes if {
	codes := {reason.code | some reason in data.gateway.guards.reads["bounded-pii"].deny} with input as t.on_labels(labels, statements)
		with data.regate as t.guarded({}, {}, switches)
}

_reads(change) := object.union_n([t.effect("select", t.table("app", "people")), {"columns": ["name"]}, change])

_read(change) := t.statement({"effects": [_reads(change)]})

_denials(settings, except, labels, statements) := _said([t.guard("reads/bounded-pii", except, settings)], labels, statements)

_people := {"tables": [{"schema": "app", "name": ["people", "cust*"]}], "max_rows": 50}

_calls(name, builtin) := t.statement({
	"effects": [_reads({"limit": 1})],
	"functions": [{"schema": "pg_catalog", "name": name, "builtin": builtin}],
})

_stopped := array.concat(t.hidden_forms, [
	_read({}),
	_read({"limit": 51}),
	_read({"operation": "copy_out"}),
	_read({"object": {"name": "customers"}}),
	_read({"columns": [], "object": {"kind": "view"}}),
	_calls("string_agg", true),
	_calls("gather", false),
	t.statement({"effects": [t.effect("select", t.table("app", "other")), _reads({})]}),
])

_passed := [
	_read({"has_where": true}),
	_read({"limit": 50}),
	_read({"columns": []}),
	_read({"operation": "insert"}),
	_read({"object": {"name": "orders"}}),
	_calls("lower", true),
	t.statement({"effects": [t.effect("select", null)]}),
]

test_what_it_stops if {
	every statement in _stopped {
		_denials(_people, {}, {"env": "prod"}, [statement]) == {"unbounded_read"}
	}
}

test_what_it_lets_through if {
	every statement in _passed {
		_denials(_people, {}, {"env": "prod"}, [statement]) == set()
	}
}

test_without_tables_all_are_meant if {
	_denials({}, {}, {}, [_read({"object": {"name": "orders"}})]) == {"unbounded_read"}
	_denials({"tables": "x", "max_rows": "y"}, {}, {}, [_read({"limit": 1001})]) == {"unbounded_read"}
	_denials({}, {}, {}, [_read({"limit": 1000})]) == set()
}

test_a_database_is_excepted_by_its_label_only if {
	_denials(_people, {"env": "dev"}, {"env": "dev"}, _stopped) == set()
	_denials(_people, {"env": "dev"}, {}, _stopped) == {"unbounded_read"}
}

test_it_is_off_by_default if {
	_said([], {}, _stopped) == set()
	denials := data.gateway.guards.reads["bounded-pii"].deny with input as {}
	denials == set()
	not data.gateway.guards.reads["bounded-pii"].applies with input as {}
}
