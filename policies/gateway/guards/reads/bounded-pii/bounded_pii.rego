# METADATA
# title: No unbounded SELECT on personal data
# description: |
#   Refuses to read tables that the switch lists (all, if it lists none) without a WHERE or a small LIMIT, to copy them
#   out, and whatever might. A LIMIT bounds nothing where a function may gather many rows into one.
# schemas:
#   - input: schema["input.query"]
package gateway.guards.reads["bounded-pii"]

import data.gateway.lib.labels
import data.gateway.lib.statements
import data.gateway.lib.switches

default applies := false

applies if count(_on) > 0

_on := switches.on("reads/bounded-pii", input.session.database)

deny contains {"code": "unbounded_read", "message": "reading this table needs a WHERE or a small LIMIT here"} if {
	some settings in _on
	some statement in input.request.statements
	_may_read_all(statement, settings)
}

_may_read_all(statement, _) if not statements.understood(statement)

_may_read_all(statement, settings) if {
	some effect in statement.effects
	effect.operation in {"copy_out", "select"}
	_is_listed(effect.object, settings.tables)
	not _is_bounded(effect, statement, settings.max_rows)
}

_is_listed(thing, tables) if {
	some table in tables
	labels.selects(table, {"schema": thing.schema, "name": thing.name}, {})
}

_is_bounded(effect, _, _) if effect.has_where == true

# Counting rows reads no column; of a view nobody knows what it reads.
_is_bounded(effect, _, _) if {
	effect.operation == "select"
	effect.columns == []
	effect.object.kind == "table"
}

_is_bounded(effect, statement, most) if {
	is_number(effect.limit) # null is less than any number
	effect.limit <= most
	every called in statement.functions {
		called.builtin == true
		not called.name in _gathering
	}
}

# Built-in functions that put many rows into one value.
_gathering := {
	"array_agg",
	"json_agg",
	"json_object_agg",
	"jsonb_agg",
	"jsonb_object_agg",
	"range_agg",
	"range_intersect_agg",
	"string_agg",
	"xmlagg",
}
