package gateway.guards.schema["no-drop_test"]

import data.gateway.guards.schema["no-drop"] as guard

_question(labels, statement) := {
	"session": {"database": {"labels": labels}},
	"request": {"statements": [statement]},
}

_does(operations) := {"complete": true, "effects": [{"operation": operation} | some operation in operations]}

_unclear := {"complete": false, "effects": []}

# The statement, the labels of the database, and how often the guard objects.
_cases := {
	"DROP TABLE on staging": [_does(["drop"]), {"env": "staging"}, 1],
	"TRUNCATE in a CTE's neighbour": [_does(["select", "truncate"]), {"env": "staging"}, 1],
	"DROP where nobody set a label": [_does(["drop"]), {}, 1],
	"DO, whose body is not read": [_unclear, {"env": "staging"}, 1],
	"CALL of a procedure": [object.union(_unclear, {"operation": "call"}), {"env": "staging"}, 1],
	"EXECUTE of a prepared text": [object.union(_unclear, {"operation": "execute"}), {"env": "staging"}, 1],
	"facts that lack a field": [{"effects": []}, {"env": "staging"}, 1],
	"DROP TABLE in development": [_does(["drop"]), {"env": "dev"}, 0],
	"a SELECT": [_does(["select"]), {"env": "staging"}, 0],
}

test_each_case_comes_out_as_the_table_says if {
	wrong := {name |
		some name, [statement, labels, times] in _cases
		not count(guard.deny) == times with input as _question(labels, statement)
	}
	wrong == set()
}

test_nothing_is_nothing_to_object_to if {
	count(guard.deny) == 0 with input as {}
}
