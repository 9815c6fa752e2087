package gateway.lib.statements_test

import data.gateway.lib.permissions
import data.gateway.query
import data.gateway.query_batch
import data.gateway.testing_test as t

_reader(permissions) := t.own({"allow": {"db_permissions": permissions}})

_on(match, operations) := {"match": object.union({"object_kind": "table", "schema": "app", "name": "people"}, match), "permissions": operations}

_ssn := [{"match": {"schema": "app", "columns": ["ssn", "tax_*"]}, "permissions": ["SELECT", "UPDATE"]}]

_roles := {
	"ids": _reader([_on({"columns": ["id"]}, ["SELECT", "UPDATE", "DELETE"])]),
	"names": _reader([_on({"columns": "na*"}, ["SELECT"])]),
	"every": _reader([_on({"columns": ["*"]}, ["SELECT"])]),
	"kinds": _reader([{"match": {"schema": "app", "name": "*", "columns": ["id"]}, "permissions": ["SELECT"]}]),
	"views": _reader([{"match": {"schema": "app", "object_kind": ["view"], "columns": ["id"]}, "permissions": ["*"]}]),
	"wide": t.own({"allow": {}}),
	"denier": t.own({"deny": {"db_permissions": _ssn}}),
	"denies_everywhere": t.own({"deny": {"db_permissions": [{"match": {"columns": "ssn"}, "permissions": ["SELECT"]}]}}),
	"denies_all": t.own({"deny": {"db_permissions": [{"match": {"*": "*", "columns": "ssn"}, "permissions": ["*"]}]}}),
}

_decide(today, granting, change) := decision if {
	asked := t.query(granting, [t.statement({"effects": [object.union(_select([]), change)]})])
	pushed := t.pushed(_roles, {"alice": t.user(today)}, [])
	decision := query.decision with input as asked with data.regate as pushed
	answers := query_batch.answers with data.regate as pushed with input as {
		"contract": 1,
		"time": t.now,
		"items": {"x": object.remove(asked, ["contract", "time"])},
	}
	answers.x == decision
}

_select(columns) := object.union(t.effect("select", t.table("app", "people")), {"columns": columns})

_granted := [
	[["ids"], {"columns": ["id"]}],
	[["ids"], {"columns": []}],
	[["ids", "names"], {"columns": ["id", "name"]}],
	[["ids", "names"], {"columns": ["*", "id", "name"]}],
	[["ids"], {"operation": "update", "columns": ["id"]}],
	[["names"], {"operation": "copy_out", "columns": ["name"]}],
	[["every"], {"columns": ["*"]}],
	[["every"], {"columns": ["ssn"]}],
	[["kinds"], {"columns": ["id"]}],
	[["views"], {"columns": ["id"], "object": {"kind": "view"}}],
]

_refused := [
	[["ids"], {"columns": ["name"]}],
	[["ids"], {"columns": ["id", "ssn"]}],
	[["ids"], {"columns": ["*", "id", "ssn"]}],
	[["ids"], {"columns": ["*"]}],
	[["ids"], {"operation": "update", "columns": ["name"]}],
	[["ids"], {"operation": "delete"}],
	[["names"], {"operation": "update", "columns": ["name"]}],
	[["ids"], {"columns": ["id"], "object": {"name": "other"}}],
	[["ids"], {"columns": ["id"], "object": {"catalog": "elsewhere"}}],
	[["kinds"], {"columns": ["id"], "object": {"kind": "view"}}],
	[["views"], {"columns": ["name"], "object": {"kind": "view"}}],
	[["views"], {"operation": "drop", "object": {"kind": "view"}}],
]

test_columns_are_granted_one_by_one if {
	every case in _granted {
		_decide(case[0], case[0], case[1]).allow == true
	}
}

test_what_no_role_grants_is_refused if {
	every case in _refused {
		decision := _decide(case[0], case[0], case[1])
		decision.allow == false
		t.codes(decision) == ["operation_not_granted"]
	}
}

# What the deny takes from a role that may do everything.
_taken := [
	{"columns": ["ssn"]},
	{"columns": ["id", "tax_number"]},
	{"columns": ["*", "id", "ssn"]},
	{"columns": ["*"]},
	{"operation": "update", "columns": ["ssn"]},
	{"columns": ["id"], "object": {"kind": "view", "name": "v"}},
	{"operation": "copy_out", "columns": ["*", "ssn"]},
]

_left := [
	{"columns": ["id"]},
	{"columns": []},
	{"columns": ["*", "id", "name"]},
	{"operation": "insert", "columns": ["ssn"]},
	{"operation": "delete"},
	{"operation": "lock"},
	{"columns": ["ssn"], "object": {"schema": "other"}},
	{"object": null},
]

test_a_denied_column_is_taken_from_everybody if {
	every change in _taken {
		t.codes(_decide(["wide", "denier"], ["wide"], change)) == ["column_denied"]
	}
	every change in _left {
		_decide(["wide", "denier"], ["wide"], change).allow == true
	}
}

test_columns_alone_are_those_of_every_table if {
	elsewhere := {"columns": ["ssn"], "object": {"schema": "other"}}
	t.codes(_decide(["wide", "denies_everywhere"], ["wide"], elsewhere)) == ["column_denied"]
	_decide(["wide", "denies_everywhere"], ["wide"], {"columns": ["id"]}).allow == true
}

test_all_operations_on_a_column_are_those_on_its_row_too if {
	every change in [{"operation": "delete"}, {"operation": "drop"}, {"operation": "lock"}, {"columns": ["ssn"]}] {
		t.codes(_decide(["wide", "denies_all"], ["wide"], change)) == ["column_denied"]
	}
	_decide(["wide", "denies_all"], ["wide"], {"columns": ["id"]}).allow == true
}

# Selectors of a deny, an object, and whether the deny may be about it.
_reached := [
	[{"*": "*"}, t.table("app", "people"), true],
	[{"*": "*"}, null, true],
	[{"schema": "app"}, t.table("app", "people"), true],
	[{"schema": "app"}, t.table("apps", "people"), false],
	[{"schema": "a.p"}, t.table("app", "people"), false],
	[{"schema": ["x", "app"], "name": "peo*"}, t.table("app", "people"), true],
	[{"schema": ["x", "app"], "name": "peo*"}, t.table("app", "orders"), false],
	[{"name": "^no|people$"}, t.table("app", "people"), true],
	[{"name": "^no|people$"}, t.table("app", "other"), true],
	[{"name": "{{external.x}}"}, t.table("app", "people"), true],
	[{"name": "p(e*"}, t.table("app", "p(e\nople"), true],
	[{"object_kind": "view"}, t.table("app", "people"), false],
	[{"object_kind": "view"}, null, false],
	[{"database": "app"}, t.table("app", "people"), true],
]

test_what_a_deny_reaches if {
	every row in _reached {
		[selector, thing, expected] := row
		pattern := permissions.reach([{"schema": "elsewhere"}, selector])
		regex.match(pattern, permissions.place(thing)) == expected
	}
	not regex.match(permissions.reach([]), permissions.place(t.table("app", "people")))
}
