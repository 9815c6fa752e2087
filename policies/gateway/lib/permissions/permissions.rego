# METADATA
# title: What db_permissions cover
# description: Whether a permission covers an operation on an object; it knows neither roles nor labels of databases.
package gateway.lib.permissions

import data.gateway.lib.labels

# The words that cover an operation that goes by another name than its own.
_words := {
	"copy_in": ["INSERT"],
	"copy_out": ["SELECT"],
	"lock": ["LOCK", "UPDATE"],
}

# The permission covers the operation on the object, described by its attributes.
covers(permission, operation, attributes) if {
	_names(permission.operations, operation)
	labels.selects(permission.match, attributes, {})
}

_names(operations, _) if operations["*"] == true

_names(operations, operation) if {
	some word in object.get(_words, operation, [upper(operation)])
	operations[word] == true
}

# How an object is matched: what it does not have, no pattern matches.
attributes(object_of_effect, session) := object.union(_own(object_of_effect), {
	"database": session.db_name,
	"database_service_name": session.database.name,
	"protocol": session.database.protocol,
})

_own(null) := {}

_own(thing) := {"object_kind": thing.kind, "schema": thing.schema, "name": thing.name} if thing != null
