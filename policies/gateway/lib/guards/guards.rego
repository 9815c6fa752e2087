# METADATA
# title: The guards that are there
# description: Collects the objections of every guard by its place; there is no list to edit.
# schemas:
#   - input: schema["input.query"]
package gateway.lib.guards

import data.gateway.lib.switches

# Where none can have a say, none is asked: most databases are spared the price of the others' guards.
_awake if not switches.quiet(input.session.database)

# The guards that are on for the database in question. One that does not say so is on.
active contains path if {
	_awake
	some category, name
	guard := data.gateway.guards[category][name]
	not guard.applies == false
	path := concat("/", [category, name])
}

# What they object to. An objection without a code of its own still refuses.
objections contains reason if {
	_awake
	some category, name
	denials := data.gateway.guards[category][name].deny
	some objection in denials
	reason := object.union(_shaped(objection), {"guard": concat("/", [category, name])})
}

_shaped(objection) := object.filter(objection, ["code", "message"]) if {
	is_string(objection.code)
	is_string(object.get(objection, "message", ""))
} else := {"code": "guard_refused"}
