package gateway.guard_tests.time["business-hours_test"]

import data.gateway.testing_test as t

_said(switches, labels, statements) := codes if {
	codes := {reason.code | some reason in data.gateway.guards.time["business-hours"].deny} with input as t.on_labels(labels, statements)
		with data.regate as t.guarded({}, {}, switches)
}

# The questions of these tests are asked on a Monday afternoon.
_denials(settings, except, labels) := _said(
	[t.guard("time/business-hours", except, settings)], labels,
	[t.statement({}), t.hidden_forms[0]],
)

_open := {"windows": [{"days": ["mon"], "zone": "UTC"}]}

_shut := {"windows": [{"days": ["tue"]}]}

test_it_stops_everything_outside_of_the_windows if {
	_denials(_shut, {}, {"env": "prod"}) == {"outside_business_hours"}
	every statement in t.hidden_forms {
		_said([t.guard("time/business-hours", {}, _shut)], {}, [statement]) == {"outside_business_hours"}
	}
}

test_it_lets_through_inside if {
	_denials(_open, {}, {"env": "prod"}) == set()
}

test_without_a_window_it_is_never_open if {
	every settings in [{}, {"windows": []}, {"windows": "x"}, {"windows": [{"zone": "Mars/Olympus"}]}] {
		_denials(settings, {}, {}) == {"outside_business_hours"}
	}
}

test_a_database_is_excepted_by_its_label_only if {
	_denials(_shut, {"env": "dev"}, {"env": "dev"}) == set()
	_denials(_shut, {"env": "dev"}, {}) == {"outside_business_hours"}
}

test_it_is_off_by_default if {
	_said([], {}, [t.statement({})]) == set()
	denials := data.gateway.guards.time["business-hours"].deny with input as {}
	denials == set()
	not data.gateway.guards.time["business-hours"].applies with input as {}
}
