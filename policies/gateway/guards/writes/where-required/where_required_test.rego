package gateway.guard_tests.writes["where-required_test"]

import data.gateway.testing_test as t

_said(switches, labels, statements) := codes if {
	codes := {reason.code | some reason in data.gateway.guards.writes["where-required"].deny} with input as t.on_labels(labels, statements)
		with data.regate as t.guarded({}, {}, switches)
}

_people := t.table("app", "people")

_does(operation, change) := t.statement({"effects": [object.union(t.effect(operation, _people), change)]})

# The CTE form: a read on top, a change of everything inside.
_hidden(effects) := t.statement({"effects": array.concat([t.effect("select", _people)], effects)})

_denials(except, labels, statements) := _said([t.guard("writes/where-required", except, {})], labels, statements)

_stopped := array.concat(t.hidden_forms, [
	_does("delete", {}),
	_does("update", {}),
	_does("truncate", {"class": "ddl"}),
	_hidden([t.effect("delete", _people)]),
	t.statement({"operation": "explain", "effects": [t.effect("explain", null), t.effect("update", _people)]}),
])

_passed := [
	_does("delete", {"has_where": true}),
	_does("update", {"has_where": true}),
	_does("insert", {}),
	_does("select", {}),
	_hidden([object.union(t.effect("delete", _people), {"has_where": true})]),
]

test_what_it_stops if {
	every statement in _stopped {
		_denials({}, {"env": "prod"}, [statement]) == {"where_required"}
	}
	_denials({}, {}, [_passed[0], _stopped[0]]) == {"where_required"}
}

test_what_it_lets_through if {
	every statement in _passed {
		_denials({}, {"env": "prod"}, [statement]) == set()
	}
	_denials({}, {}, []) == set()
}

test_a_database_is_excepted_by_its_label_only if {
	_denials({"env": "dev"}, {"env": "dev"}, [_stopped[0]]) == set()
	_denials({"env": "dev"}, {}, [_stopped[0]]) == {"where_required"}
	_denials({"env": "dev"}, {"env": "prod"}, [_stopped[0]]) == {"where_required"}
}

test_it_is_off_by_default if {
	_said([], {}, _stopped) == set()
	denials := data.gateway.guards.writes["where-required"].deny with input as {}
	denials == set()
}
