package gateway.guard_tests.schema["no-ddl_test"]

import data.gateway.testing_test as t

_said(switches, labels, statements) := codes if {
	codes := {reason.code | some reason in data.gateway.guards.schema["no-ddl"].deny} with input as t.on_labels(labels, statements)
		with data.regate as t.guarded({}, {}, switches)
}

_effect(operation, class) := object.union(t.effect(operation, t.table("app", "t")), {"class": class})

_denials(except, labels, statements) := _said([t.guard("schema/no-ddl", except, {})], labels, statements)

_stopped := array.concat(t.hidden_forms, [
	t.statement({"class": "ddl", "effects": [_effect("drop", "ddl")]}),
	t.statement({"class": "dcl", "effects": [_effect("grant", "dcl")]}),
	t.statement({"effects": [t.effect("select", t.table("app", "t")), _effect("create", "ddl")]}),
])

test_what_it_stops if {
	every statement in _stopped {
		_denials({}, {"env": "prod"}, [statement]) == {"ddl_refused"}
	}
}

test_what_it_lets_through if {
	every class in ["read", "write", "session", "admin"] {
		_denials({}, {"env": "prod"}, [t.statement({"effects": [_effect("x", class)]})]) == set()
	}
}

test_a_database_is_excepted_by_its_label_only if {
	_denials({"env": ["dev", "staging"]}, {"env": "staging"}, _stopped) == set()
	_denials({"env": "dev"}, {}, _stopped) == {"ddl_refused"}
}

test_it_is_off_by_default if {
	_said([], {}, _stopped) == set()
	denials := data.gateway.guards.schema["no-ddl"].deny with input as {}
	denials == set()
}
