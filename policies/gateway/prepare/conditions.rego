# METADATA
# title: Expressions, hours, networks and columns of a role
# description: What a role may say besides labels and names, as decisions read it, and what is wrong with it.
# schemas:
#   - input: schema["input.prepare"]
package gateway.prepare

import data.gateway.lib.expressions
import data.gateway.lib.labels
import data.gateway.lib.networks
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
