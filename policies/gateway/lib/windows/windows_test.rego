package gateway.lib.windows_test

import data.gateway.lib.windows

# A Monday in winter, at noon in London.
_monday := time.parse_rfc3339_ns("2026-01-05T12:00:00Z")

_open(window, moment) if windows.open(windows.compile([window]), time.parse_rfc3339_ns(moment))

_work := {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00", "zone": "Europe/Berlin"}

_night := {"days": ["fri"], "from": "22:00", "to": "06:00"}

test_a_window_is_open_in_its_zone if {
	every moment in ["2026-01-05T07:00:00Z", "2026-01-05T16:59:59Z", "2026-07-06T06:00:00Z", "2026-01-09T12:00:00Z"] {
		_open(_work, moment)
	}
	every moment in ["2026-01-05T06:59:59Z", "2026-01-05T17:00:00Z", "2026-07-06T05:59:59Z", "2026-01-10T12:00:00Z"] {
		not _open(_work, moment)
	}
}

test_a_window_past_midnight_belongs_to_the_day_it_starts_on if {
	every moment in ["2026-01-09T22:00:00Z", "2026-01-10T05:59:59Z"] {
		_open(_night, moment)
	}
	every moment in ["2026-01-09T21:59:59Z", "2026-01-10T06:00:00Z", "2026-01-10T22:00:00Z", "2026-01-09T05:00:00Z"] {
		not _open(_night, moment)
	}
	_open({"days": ["sun"], "from": "22:00", "to": "06:00"}, "2026-01-05T05:00:00Z")
}

test_what_is_left_out_is_always if {
	windows.open(windows.compile([{}]), _monday)
	windows.open(windows.compile([{"days": ["mon"]}]), _monday)
	_open({"from": "12:00"}, "2026-01-05T23:59:59Z")
	not windows.open(windows.compile([]), _monday)
	windows.open(windows.compile([_night, {"days": ["mon"]}]), _monday)
}

test_mistakes_are_told_and_never_compiled if {
	windows.mistakes([_work, _night, {}]) == set()
	every bad in ["x", {}, [], 5] {
		windows.mistakes(bad) == {"a list of windows is expected"}
	}
	every bad in [
		{"days": []}, {"days": ["monday"]}, {"days": "mon"}, {"from": "8:00"}, {"from": 800}, {"to": "24:30"},
		{"from": "08:00", "to": "08:00"}, {"zone": "Mars/Olympus"}, {"zone": ""}, {"zone": 1}, {"until": "18:00"}, "mon",
	] {
		count(windows.mistakes([bad])) == 1
		windows.compile([bad]) == []
	}
	windows.compile("x") == []
}
