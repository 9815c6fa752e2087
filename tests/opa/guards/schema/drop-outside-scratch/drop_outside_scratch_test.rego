package gateway.guards.schema["drop-outside-scratch_test"]

import data.gateway.guards.schema["drop-outside-scratch"] as guard

_question(labels, statement) := {
	"session": {"database": {"labels": labels}},
	"request": {"statements": [statement]},
}

_drops := {"complete": true, "effects": [{"operation": "select"}, {"operation": "drop"}]}

_reads := {"complete": true, "effects": [{"operation": "select"}]}

test_a_drop_is_stopped if {
	count(guard.deny) == 1 with input as _question({"env": "production"}, _drops)
}

test_a_scratch_database_is_exempt if {
	count(guard.deny) == 0 with input as _question({"env": "dev"}, _drops)
}

test_a_database_without_the_label_is_protected if {
	count(guard.deny) == 1 with input as _question({}, _drops)
}

test_what_is_not_understood_is_stopped if {
	count(guard.deny) == 1 with input as _question({}, {"complete": false, "effects": []})
	count(guard.deny) == 1 with input as _question({}, {"effects": []})
}

test_a_read_is_let_through if {
	count(guard.deny) == 0 with input as _question({"env": "production"}, _reads)
}

test_nothing_is_nothing_to_object_to if {
	count(guard.deny) == 0 with input as {}
}
