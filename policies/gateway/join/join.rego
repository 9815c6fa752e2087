# METADATA
# title: May this service join, and with which databases
# description: |
#   Asked when a join token is redeemed, and again for the databases that an agent reports later. What a token allows
#   is its grant: kinds of services, labels that a database must carry, and names that it may have. A grant without
#   labels or names leaves them open; an empty list of them allows nothing.
# scope: subpackages
# schemas:
#   - input: schema["input.join"]
package gateway.join

import data.gateway.lib.frame
import data.gateway.lib.labels

# METADATA
# title: The decision
# description: The databases that the grant allows are listed in either case; one that it does not allow is an objection.
# entrypoint: true
default decision := {
	"contract": 1,
	"allow": false,
	"reasons": [{"code": "input_invalid", "message": "the question is not one that can be answered"}],
	"databases": [],
	"policy_revision": "",
	"data_revision": -1,
}

decision := object.union(frame.stamp, {
	"allow": true,
	"reasons": [{"code": "grant_permits"}],
	"databases": _granted,
}) if {
	_answerable
	count(_objections) == 0
}

decision := object.union(frame.refusal(_objections), {"databases": _granted}) if {
	_answerable
	count(_objections) > 0
}

_answerable if {
	is_string(input.joining.type)
	is_array(input.joining.databases)
	is_array(input.grant.types)
}

_objections := array.concat(
	[{"code": "type_not_granted", "message": _about_type} | not _type_granted],
	[objection | some database in input.joining.databases; some objection in _about(database)],
)

_type_granted if input.joining.type in input.grant.types

_about_type := sprintf("the token is for %s, not for %s", [concat(", ", input.grant.types), input.joining.type])

_granted := [database.name |
	_type_granted
	some database in input.joining.databases
	count(_about(database)) == 0
]

_about(database) := [{"code": "database_not_granted", "message": sentence} | some sentence in _sentences(database)]

_sentences(database) := array.flatten([
	[sprintf("a %s has no databases, and %q was named", [input.joining.type, database.name]) | not _serves],
	[sprintf("the token does not allow a database called %q", [database.name]) | not _name_granted(database)],
	[sprintf("the token does not allow the labels of %q", [database.name]) | not _labels_granted(database)],
])

_serves if input.joining.type == "db"

_name_granted(_) if not _names_given

_name_granted(database) if labels.matches(_names, database.name, {})

_names_given if "databases" in object.keys(input.grant)

_names := labels.compile(input.grant.databases)

_labels_granted(_) if not _labels_given

_labels_granted(database) if labels.selects(_selector, database.labels, {})

_labels_given if "labels" in object.keys(input.grant)

_selector := labels.compile_selector(input.grant.labels)
