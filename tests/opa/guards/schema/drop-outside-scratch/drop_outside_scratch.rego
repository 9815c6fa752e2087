# METADATA
# title: No DROP outside of scratch databases
# description: Objects to destroying things, and to whatever might, unless the database is labelled as scratch.
package gateway.guards.schema["drop-outside-scratch"]

_scratch := {"dev", "scratch"}

deny contains {"code": "drop_refused", "message": "DROP is for scratch databases only"} if {
	_may_drop
	not _on_scratch
}

_may_drop if {
	some statement in input.request.statements
	some effect in statement.effects
	effect.operation == "drop"
}

_may_drop if {
	some statement in input.request.statements
	not _understood(statement)
}

_understood(statement) if statement.complete == true

_on_scratch if input.session.database.labels.env in _scratch
