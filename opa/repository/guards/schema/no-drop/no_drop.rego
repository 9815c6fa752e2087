# METADATA
# title: No DROP and no TRUNCATE outside of development
# description: Refuses what destroys objects, and whatever might, unless the database is labelled as development.
package gateway.guards.schema["no-drop"]

_destroying := {"drop", "truncate"}

deny contains {"code": "drop_refused", "message": "nothing may be dropped on this database"} if {
	_may_destroy
	not _in_development
}

_may_destroy if {
	some statement in input.request.statements
	some effect in statement.effects
	effect.operation in _destroying
}

# What was not understood might destroy anything: DO, CALL and EXECUTE come here.
_may_destroy if {
	some statement in input.request.statements
	not _understood(statement)
}

_understood(statement) if statement.complete == true

_in_development if input.session.database.labels.env == "dev"
