# METADATA
# title: Maintenance freeze
# description: |
#   Refuses every change between `from` and `until`, and whatever might be one: a function that is not known to be
#   harmless too. Without `from` it has begun, without `until` it goes on.
# schemas:
#   - input: schema["input.query"]
package gateway.guards.changes["maintenance-freeze"]

import data.gateway.lib.statements
import data.gateway.lib.switches

default applies := false

applies if count(_on) > 0

_on := [settings |
	some settings in switches.on("changes/maintenance-freeze", input.session.database)
	not _is_ahead(settings)
	not _is_over(settings)
]

_is_ahead(settings) if input.time < settings.from_ns

_is_over(settings) if input.time >= settings.until_ns

deny contains {"code": "frozen", "message": "nothing is changed here during maintenance"} if {
	applies
	some statement in input.request.statements
	_may_change(statement)
}

_may_change(statement) if not statements.understood(statement)

_may_change(statement) if {
	some effect in statement.effects
	not effect.class in {"read", "session"}
}

_may_change(statement) if {
	some part in ["casts", "functions", "operators"]
	some named in statement[part]
	not named.builtin == true
}
