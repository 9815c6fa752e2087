package gateway.lib.expressions_test

import data.gateway.connect
import data.gateway.lib.expressions
import data.gateway.prepare
import data.gateway.testing_test as t

_found := {"env": "dev", "team": "red", "team-2": "blue"}

_who := {"name": "ada@example.com", "traits": {"teams": ["red", "blue"], "mail": ["bob@x"], "odd": ["no address", 7]}}

_of(source, steps) := {"source": source, "steps": steps}

_text(value) := _of({"kind": "text", "value": value}, [])

_label(key) := _of({"kind": "label", "key": key}, [])

_trait(key) := _of({"kind": "trait", "key": key}, [])

_local := {"kind": "local"}

_test(kind, left, right) := {"kind": kind, "left": left, "right": right, "holds": true}

_not(test) := object.union(test, {"holds": false})

_is_dev := _test("equal", _label("env"), _text("dev"))

_matching := _of({"kind": "labels_matching", "pattern": "team*"}, [])

_holding := [
	[[_is_dev]],
	[[_not(_is_dev)], [_is_dev]],
	[[_test("equal", _text("dev"), _label("env"))]],
	[[_test("equal", _label("absent"), _text(""))]],
	[[_not(_test("equal", _label("absent"), _text("x")))]],
	[[_test("any", _trait("teams"), _label("team"))]],
	[[_test("any", _trait("teams"), _matching)]],
	[[_test("all", _trait("teams"), _matching)]],
	[[_not(_test("all", _trait("teams"), _trait("absent")))]],
	[[_not(_test("any", _trait("absent"), _label("team")))]],
	[[_test("any", _of({"kind": "texts", "values": ["dev", "x"]}, []), _label("env"))]],
	[[_test("match", _label("env"), _text("^d"))]],
	[[_test("equal", _of({"kind": "user"}, [_local]), _text("ada"))]],
	[[_test("equal", _of({"kind": "user"}, [_local, {"kind": "upper"}]), _text("ADA"))]],
	[[_test("equal", _of({"kind": "label", "key": "env"}, [{"kind": "upper"}, {"kind": "lower"}]), _text("dev"))]],
	[[_test("any", _of({"kind": "trait", "key": "teams"}, [{"kind": "replace", "pattern": "^r(.*)$", "replacement": "$1"}]), _text("ed"))]],
	[[_not(_test("equal", _of({"kind": "trait", "key": "absent"}, [_local]), _text("x")))]],
]

_not_holding := [
	null,
	[],
	[[]],
	[[_not(_is_dev)]],
	[[_is_dev, _not(_is_dev)]],
	[[_test("any", _trait("absent"), _label("team"))]],
	[[_test("all", _trait("teams"), _trait("absent"))]],
	[[_test("all", _matching, _of({"kind": "texts", "values": ["red", "x"]}, []))]],
	[[_test("unheard_of", _text("a"), _text("a"))]],
	[[_test("equal", _text("Dev"), _label("env"))]],
	[[_test("any", _of({"kind": "trait", "key": "odd"}, [_local]), _text("no address"))]],
	[[_not(_test("any", _of({"kind": "trait", "key": "odd"}, [_local]), _text("x")))]],
]

test_what_holds if {
	every program in _holding {
		expressions.holds(program, _found, _who)
		expressions.is_valid(program)
		not expressions.undecided(program, _found, _who)
	}
}

test_what_does_not_hold if {
	every program in _not_holding {
		not expressions.holds(program, _found, _who)
	}
}

test_an_address_that_is_none_leaves_it_undecided if {
	every test in [
		_test("any", _of({"kind": "trait", "key": "odd"}, [_local]), _text("x")),
		_test("any", _trait("teams"), _of({"kind": "label", "key": "env"}, [_local])),
	] {
		expressions.undecided([[_is_dev, test]], _found, _who)
	}
}

test_patterns_that_opa_cannot_read_are_found if {
	every test in [
		_test("match", _label("env"), _text("(")),
		_test("any", _of({"kind": "labels_matching", "pattern": "^($"}, []), _text("x")),
		_test("any", _of({"kind": "trait", "key": "x"}, [{"kind": "replace", "pattern": "(", "replacement": ""}]), _text("x")),
	] {
		not expressions.is_valid([[test]])
	}
	not expressions.is_valid("x")
}

_wide := {"db_names": ["*"], "db_users": ["*"]}

_code(allow, deny) := _told(decision) if {
	roles := {"r": t.role({"allow": object.union(_wide, allow), "deny": deny})}
	index := prepare.index with input as {
		"contract": 1,
		"roles": roles,
		"locks": [],
		"expressions": {
			"dev": [[_is_dev]],
			"prod": [[_not(_is_dev)]],
			"bad": [[_test("match", _label("env"), _text("("))]],
			"unsure": [[_test("equal", _of({"kind": "label", "key": "env"}, [_local]), _text("x"))]],
		},
	}
	decision := connect.decision with input as t.connect(["r"], {})
		with data.regate as {"data_revision": 7, "users": {"alice": t.user(["r"])}, "index": index}
}

_told(decision) := "allowed" if decision.allow == true

_told(decision) := decision.reasons[0].code if decision.allow == false

test_with_labels_both_must_hold if {
	_code({"db_labels_expression": "dev"}, {}) == "allowed"
	_code({"db_labels_expression": "dev", "db_labels": {}}, {}) == "allowed"
	_code({"db_labels_expression": "dev", "db_labels": {"team": "platform"}}, {}) == "allowed"
	_code({"db_labels_expression": "dev", "db_labels": {"team": "red"}}, {}) == "database_not_found"
	_code({"db_labels_expression": "prod", "db_labels": {"team": "platform"}}, {}) == "database_not_found"
	_code({"db_labels_expression": "prod"}, {}) == "database_not_found"
	_code({"db_labels_expression": "bad"}, {}) == "database_not_found"
	_code({"db_labels_expression": "no program"}, {}) == "database_not_found"
	_code({"db_labels_expression": ""}, {}) == "database_not_found"
}

test_of_a_deny_one_is_enough if {
	wide := {"db_labels": {"*": "*"}}
	_code(wide, {"db_labels_expression": "dev"}) == "database_not_found"
	_code(wide, {"db_labels_expression": "prod"}) == "allowed"
	_code(wide, {"db_labels_expression": "prod", "db_labels": {"env": "dev"}}) == "database_not_found"
	_code(wide, {"db_labels_expression": "dev", "db_labels": {"env": "prod"}}) == "database_not_found"
	_code(wide, {"db_labels_expression": "unsure"}) == "database_not_found"
	_code(wide, {"db_labels_expression": "bad"}) == "option_unsupported"
	_code(wide, {"db_labels_expression": "no program"}) == "option_unsupported"
}

test_a_mistake_is_told_by_its_text if {
	problems := prepare.problems with input as {
		"contract": 1,
		"document": t.role({"allow": {"db_labels_expression": "x"}, "deny": {"db_labels_expression": "y"}}),
		"expressions": {},
		"mistakes": {"x": "character 1: what is x"},
	}
	[[problem.path, problem.message] | some problem in problems] == [
		["spec.allow.db_labels_expression", "character 1: what is x"],
		["spec.deny.db_labels_expression", "the expression is not understood"],
	]
}
