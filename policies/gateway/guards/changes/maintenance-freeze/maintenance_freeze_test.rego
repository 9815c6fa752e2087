package gateway.guard_tests.changes["maintenance-freeze_test"]

import data.gateway.testing_test as t

_said(switches, labels, statements) := codes if {
	codes := {reason.code | some reason in data.gateway.guards.changes["maintenance-freeze"].deny} with input as t.on_labels(labels, statements)
		with data.regate as t.guarded({}, {}, switches)
}

_denials(settings, except, labels, statements) := _said([t.guard("changes/maintenance-freeze", except, settings)], labels, statements)

_effect(class) := object.union(t.effect("x", t.table("app", "t")), {"class": class})

_named(part) := t.statement({part: [{"schema": "app", "name": "f", "builtin": false}]})

_stopped := array.concat(t.hidden_forms, [
	t.statement({"effects": [_effect("write")]}),
	t.statement({"effects": [_effect("ddl")]}),
	t.statement({"effects": [_effect("admin")]}),
	t.statement({"effects": [t.effect("select", null), _effect("write")]}),
	_named("functions"),
	_named("operators"),
	_named("casts"),
])

_passed := [
	t.statement({"effects": [_effect("read")]}),
	t.statement({"effects": [_effect("session")]}),
	t.statement({"functions": [{"schema": "pg_catalog", "name": "now", "builtin": true}]}),
]

test_what_it_stops if {
	every statement in _stopped {
		_denials({}, {}, {"env": "prod"}, [statement]) == {"frozen"}
	}
}

test_what_it_lets_through if {
	every statement in _passed {
		_denials({}, {}, {"env": "prod"}, [statement]) == set()
	}
}

# The questions of these tests are asked on 21 September 2026.
test_it_begins_and_ends if {
	every settings in [
		{"from": "2026-09-01T00:00:00Z"}, {"until": "2026-10-01T00:00:00Z"}, {"from": "x", "until": "9999-01-01T00:00:00Z"},
		{"from": "2026-09-01T00:00:00Z", "until": "2026-10-01T00:00:00Z"},
	] {
		_denials(settings, {}, {}, _stopped) == {"frozen"}
	}
	every settings in [{"from": "2026-10-01T00:00:00Z"}, {"until": "2026-09-01T00:00:00Z"}] {
		_denials(settings, {}, {}, _stopped) == set()
	}
}

test_a_database_is_excepted_by_its_label_only if {
	_denials({}, {"env": "dev"}, {"env": "dev"}, _stopped) == set()
	_denials({}, {"env": "dev"}, {}, _stopped) == {"frozen"}
}

test_it_is_off_by_default if {
	_said([], {}, _stopped) == set()
	denials := data.gateway.guards.changes["maintenance-freeze"].deny with input as {}
	denials == set()
	not data.gateway.guards.changes["maintenance-freeze"].applies with input as {}
}
