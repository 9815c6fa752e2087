# METADATA
# title: Windows of time
# description: |
#   `{days: [mon, …], from: "08:00", to: "18:00", zone: Europe/Berlin}`. A window whose end lies before its start goes on
#   past midnight and belongs to the day on which it starts. `compile` reads them when data is published.
package gateway.lib.windows

_order := ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

_before := {day: _order[(number + 6) % 7] | some number, day in _order}

# METADATA
# title: The windows as decisions read them
# description: What is no window is left out; `mistakes` tells of it.
compile(windows) := [compiled |
	is_array(windows)
	some window in windows
	_is_window(window)
	compiled := {
		"days": {day: true | some day in object.get(window, "days", _order)},
		"from": _minutes(object.get(window, "from", "00:00")),
		"to": _minutes(object.get(window, "to", "24:00")),
		"zone": object.get(window, "zone", "UTC"),
	}
]

# METADATA
# title: What is wrong with a list of windows
mistakes(windows) := {"a list of windows is expected"} if {
	not _are_windows(windows)
} else := {sprintf("window %d: %s", [number + 1, _expected]) |
	some number, window in windows
	not _is_window(window)
}

_expected := "days such as [mon, fri], from and to such as 08:00, and a zone such as Europe/Berlin are expected"

_are_windows(windows) if {
	is_array(windows)
	count(windows) > 0
}

_is_window(window) if {
	is_object(window)
	object.keys(window) - {"days", "from", "to", "zone"} == set()
	days := object.get(window, "days", _order)
	is_array(days)
	count(days) > 0
	every day in days {
		day in _order
	}
	object.get(window, "from", "00:00") != object.get(window, "to", "24:00")
	is_number(_minutes(object.get(window, "from", "00:00")))
	is_number(_minutes(object.get(window, "to", "24:00")))
	_is_zone(object.get(window, "zone", "UTC"))
}

# What OPA cannot read must not reach a decision: asked strictly, it would spoil the whole answer.
_is_zone(zone) if {
	is_string(zone)
	zone != ""
	time.clock([0, zone])
}

_minutes(text) := (to_number(hours) * 60) + to_number(minutes) if {
	is_string(text)
	regex.match(`^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`, text)
	[hours, minutes] := split(text, ":")
}

# METADATA
# title: The moment lies in one of the windows
open(windows, now) if {
	some window in windows
	[hours, minutes, _] := time.clock([now, window.zone])
	today := substring(lower(time.weekday([now, window.zone])), 0, 3)
	_lies_in(window, today, (hours * 60) + minutes)
}

_lies_in(window, today, at) if {
	window.from < window.to
	window.days[today]
	at >= window.from
	at < window.to
}

_lies_in(window, today, at) if {
	window.from >= window.to
	window.days[today]
	at >= window.from
}

_lies_in(window, today, at) if {
	window.from >= window.to
	window.days[_before[today]]
	at < window.to
}
