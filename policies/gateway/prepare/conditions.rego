# METADATA
# title: Conditions of roles, and the guards that are switched on
# description: |
#   What a role may say besides labels and names (expressions, hours, networks, columns), and what resources of kind
#   `guard` say, as decisions read it, and what is wrong with it.
# schemas:
#   - input: schema["input.prepare"]
package gateway.prepare

import data.gateway.lib.expressions
import data.gateway.lib.labels
import data.gateway.lib.networks
import data.gateway.lib.switches
import data.gateway.lib.windows

# The program of the side's expression; null where there is none, or none that is understood.
_program(part) := program if {
	program := input.expressions[part.db_labels_expression]
	expressions.is_valid(program)
} else := null

_selects_by(part) := "both" if {
	_has_expression(part)
	_has_labels(part)
} else := "expression" if _has_expression(part)

else := "labels"

_has_expression(part) if not _is_blank(object.get(part, "db_labels_expression", null))

_has_labels(part) if not _is_blank(object.get(part, "db_labels", null))

# Only our own version has hours and networks.
_windows("regate/v1", part) := windows.compile(object.get(part, "time_windows", []))

_windows(version, _) := [] if version != "regate/v1"

_networks("regate/v1", part) := networks.compile(_strings(part, "source_networks"))

_networks(version, _) := [] if version != "regate/v1"

# What a permission's match says about objects; one that names nothing but columns means those of every table.
_objects(selector) := {"*": "*"} if object.keys(selector) == {"columns"}

_objects(selector) := object.remove(selector, ["columns"]) if object.keys(selector) != {"columns"}

# Every column at once is no restriction.
_is_about_columns(entry) if {
	columns := entry.match.columns
	not "*" in labels.as_list(columns)
}

_column_permission(entry) := object.union(
	_permission(entry),
	{"columns": labels.compile([value | some value in labels.as_list(entry.match.columns); is_string(value)])},
)

_expression_mistakes(document, side) := {mistake |
	text := _part(document, side).db_labels_expression
	not _is_blank(text)
	is_null(_program(_part(document, side)))
	message := object.get(object.get(input, "mistakes", {}), text, "the expression is not understood")
	mistake := {"path": concat(".", [side, "db_labels_expression"]), "message": message}
}

# Conditions that a version does not have are told elsewhere.
_condition_mistakes(document, side) := {mistake |
	document.version == "regate/v1"
	some field in _carried_out_here
	value := _part(document, side)[field]
	not is_null(value)
	some message in _condition_messages(field, value)
	mistake := {"path": concat(".", [side, field]), "message": message}
}

_condition_messages("time_windows", value) := windows.mistakes(value)

_condition_messages("source_networks", value) := networks.mistakes(value)

# By their place, as decisions ask for them.
_switches := {path: found |
	some document in input.guards
	path := document.spec.guard
	is_string(path)
	found := [_switch(other.spec) |
		some other in input.guards
		other.spec.guard == path
	]
}

# What cannot be read excepts nothing.
_switch(spec) := switches.compiled(_selector(spec, "except"), _settings(object.get(spec, "settings", {})))

_settings(settings) := {} if not is_object(settings)

_settings(settings) := object.union_n([
	{"windows": object.get(settings, "windows", [])},
	{"max_rows": settings.max_rows | is_number(settings.max_rows)},
	{"tables": [table | some table in settings.tables; _is_table(table)] | is_array(settings.tables)},
	{"from_ns": time.parse_rfc3339_ns(settings.from) | _is_moment(settings.from)},
	{"until_ns": time.parse_rfc3339_ns(settings.until) | _is_moment(settings.until)},
]) if {
	is_object(settings)
}

_is_table(table) if {
	is_object(table)
	count(table) > 0
	object.keys(table) - {"name", "schema"} == set()
	count(_selector_mistakes("", table)) == 0
}

_is_moment(text) if {
	_is_time(text)
	substring(text, 0, 4) <= "2261"
}

# No guard can object to anything: told once, so that no query has to look. A bundle that does not say whether a team has
# guards of its own may have some.
default _asleep := false

_asleep if {
	data.gateway.inventory.team_guards == false
	count(_switches) == 0
}

_guard_mistakes(document) := union({
	{{"path": "spec.guard", "message": message} |
		not document.spec.guard in switches.shipped
		message := concat("", ["one of these is expected: ", concat(", ", sort(switches.shipped))])
	},
	_selector_mistakes("spec.except", object.get(document.spec, "except", {})),
	{{"path": "spec.settings.windows", "message": message} |
		value := document.spec.settings.windows
		some message in windows.mistakes(value)
	},
	{{"path": "spec.settings.windows", "message": "business hours need windows"} |
		document.spec.guard == "time/business-hours"
		not document.spec.settings.windows
	},
	{{"path": concat(".", ["spec.settings", field]), "message": "a time such as 2026-01-31T12:00:00Z is expected"} |
		some field in ["from", "until"]
		value := document.spec.settings[field]
		not _is_moment(value)
	},
	{{"path": "spec.settings.tables", "message": "a schema and a name, or patterns, are expected"} |
		some table in document.spec.settings.tables
		not _is_table(table)
	},
})
