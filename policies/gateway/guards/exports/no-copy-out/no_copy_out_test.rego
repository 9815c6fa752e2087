package gateway.guard_tests.exports["no-copy-out_test"]

import data.gateway.testing_test as t

_said(switches, labels, statements) := codes if {
	codes := {reason.code | some reason in data.gateway.guards.exports["no-copy-out"].deny} with input as t.on_labels(labels, statements)
		with data.regate as t.guarded({}, {}, switches)
}

_denials(except, labels, statements) := _said([t.guard("exports/no-copy-out", except, {})], labels, statements)

_does(operation) := t.statement({"effects": [t.effect(operation, t.table("app", "t"))]})

# COPY of a query has an effect without an object, and those of the query.
_stopped := array.concat(t.hidden_forms, [
	_does("copy_out"),
	t.statement({"operation": "copy_out", "effects": [t.effect("copy_out", null), t.effect("delete", t.table("app", "t"))]}),
])

test_what_it_stops if {
	every statement in _stopped {
		_denials({}, {"env": "prod"}, [statement]) == {"copy_out_refused"}
	}
}

test_what_it_lets_through if {
	every operation in ["select", "copy_in", "insert", "drop"] {
		_denials({}, {"env": "prod"}, [_does(operation)]) == set()
	}
}

test_a_database_is_excepted_by_its_label_only if {
	_denials({"env": "dev"}, {"env": "dev"}, _stopped) == set()
	_denials({"env": "dev"}, {}, _stopped) == {"copy_out_refused"}
}

test_it_is_off_by_default if {
	_said([], {}, _stopped) == set()
	denials := data.gateway.guards.exports["no-copy-out"].deny with input as {}
	denials == set()
}
