# METADATA
# title: No COPY out
# description: Refuses `COPY … TO`, of a table or a query, to the client, a file or a program, and whatever might be one.
# schemas:
#   - input: schema["input.query"]
package gateway.guards.exports["no-copy-out"]

import data.gateway.lib.statements
import data.gateway.lib.switches

default applies := false

applies if count(switches.on("exports/no-copy-out", input.session.database)) > 0

deny contains {"code": "copy_out_refused", "message": "nothing is copied out of this database"} if {
	applies
	some statement in input.request.statements
	_may_copy(statement)
}

_may_copy(statement) if not statements.understood(statement)

_may_copy(statement) if {
	some effect in statement.effects
	effect.operation == "copy_out"
}
