# METADATA
# title: No changes of the schema or of rights
# description: Refuses DDL, GRANT and REVOKE, and whatever might be one.
# schemas:
#   - input: schema["input.query"]
package gateway.guards.schema["no-ddl"]

import data.gateway.lib.statements
import data.gateway.lib.switches

default applies := false

applies if count(switches.on("schema/no-ddl", input.session.database)) > 0

deny contains {"code": "ddl_refused", "message": "the schema and its rights are not changed here"} if {
	applies
	some statement in input.request.statements
	_may_define(statement)
}

_may_define(statement) if not statements.understood(statement)

_may_define(statement) if {
	some effect in statement.effects
	effect.class in {"dcl", "ddl"}
}
