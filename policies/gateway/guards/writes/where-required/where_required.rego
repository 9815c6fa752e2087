# METADATA
# title: No UPDATE or DELETE without WHERE
# description: |
#   Refuses to change or remove all rows of a table at once, TRUNCATE too, and whatever might. A WHERE that looks at no
#   column is none.
# schemas:
#   - input: schema["input.query"]
package gateway.guards.writes["where-required"]

import data.gateway.lib.statements
import data.gateway.lib.switches

default applies := false

applies if count(switches.on("writes/where-required", input.session.database)) > 0

deny contains {"code": "where_required", "message": "an UPDATE or DELETE needs a WHERE that looks at a column here"} if {
	applies
	some statement in input.request.statements
	_may_change_all(statement)
}

_may_change_all(statement) if not statements.understood(statement)

_may_change_all(statement) if {
	some effect in statement.effects
	effect.operation in {"delete", "truncate", "update"}
	not effect.has_where == true
}
