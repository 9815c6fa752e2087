package gateway.connect_batch_test

import data.gateway.connect
import data.gateway.connect_batch
import data.gateway.prepare
import data.gateway.testing_test as t

_roles := {"r": t.role({"allow": {"db_labels": {"*": "*"}, "db_users": ["reader"], "db_names": ["*"]}})}

test_a_batch_says_what_the_single_question_says if {
	pushed := t.pushed(_roles, {"alice": t.user(["r"])}, [])
	good := t.connect(["r"], {})
	bad := t.connect(["r"], {"db_user": "root"})
	answers := connect_batch.answers with data.regate as pushed with input as {
		"contract": 1,
		"time": t.now,
		"items": {
			"a": object.remove(good, ["contract", "time"]),
			"b": object.remove(bad, ["contract", "time"]),
			"c": {}, "d": null,
		},
	}
	yes := connect.decision with input as good with data.regate as pushed
	no := connect.decision with input as bad with data.regate as pushed
	answers.a == yes
	answers.b == no
	answers.c.allow == false
	answers.d.allow == false
}

test_a_batch_of_nothing_answers_nothing if {
	connect_batch.answers == {} with input as {}
}

# Roles that look at what others do not: the name, the address, a trait, the hour; and one that is not there.
_all_roles := {
	"plain": t.role({"allow": {"db_labels": {"*": "*"}, "db_users": ["reader"], "db_names": ["*"]}}),
	"other": t.role({"allow": {"db_labels": {"env": "prod"}, "db_users": ["reader"], "db_names": ["*"]}}),
	"named": t.role({"allow": {
		"db_labels_expression": "is by-name",
		"db_users": ["reader"],
		"db_names": ["*"],
	}}),
	"unnamed": t.role({"deny": {"db_labels_expression": "is by-deny"}}),
	"fenced": t.own({"allow": {
		"db_labels": {"*": "*"},
		"db_users": ["reader"],
		"db_names": ["*"],
		"source_networks": ["10.0.0.0/8"],
	}}),
	"walled": t.own({"deny": {"source_networks": ["10.0.0.0/8"]}}),
	"pinned": t.role({"options": {"pin_source_ip": true}, "allow": {}}),
	"traits": t.role({"allow": {"db_labels": {"*": "*"}, "db_users": ["{{internal.db_users}}"], "db_names": ["*"]}}),
}

# What was made of the two expressions: programs that look at the user's name.
_programs := {sprintf("is %s", [name]): [[{
	"kind": "equal",
	"left": {"source": {"kind": "user"}, "steps": []},
	"right": {"source": {"kind": "text", "value": name}, "steps": []},
	"holds": true,
}]] |
	some name in ["by-name", "by-deny"]
}

_pushed(locks) := {"data_revision": 7, "users": _people, "index": object.union(made, {"asleep": true})} if {
	made := prepare.index with input as {
		"contract": 1,
		"roles": _all_roles,
		"locks": locks,
		"expressions": _programs,
	}
}

_people := {
	"one": t.user(["plain"]),
	"two": t.user(["plain"]),
	"less": t.user(["other"]),
	"locked": object.union(t.user(["plain"]), {"locked": true}),
	"hit": t.user(["plain"]),
	"barred": t.user(["plain"]),
	"gap": t.user(["plain", "gone"]),
	"over": object.union(t.user(["plain"]), {"expires_ns": t.now}),
	"by-name": t.user(["named"]),
	"by-other-name": t.user(["named"]),
	"by-deny": t.user(["plain", "unnamed"]),
	"fenced": t.user(["fenced"]),
	"walled": t.user(["plain", "walled"]),
	"pinned": t.user(["plain", "pinned"]),
	"traits": object.union(t.user(["traits"]), {"traits": {"db_users": ["reader"]}}),
	"no-traits": t.user(["traits"]),
}

_some_locks := [
	{"kind": "lock", "metadata": {"name": "a"}, "spec": {"target": {"user": "hit"}, "message": "left"}},
	{"kind": "lock", "metadata": {"name": "b"}, "spec": {"target": {"user": "barred", "database": "orders-db"}}},
]

_strangers := {"stranger"}

_items[sprintf("%s as %s from %s at %d", [name, db_user, address, end])] := item if {
	some name in (object.keys(_people) | _strangers)
	some db_user in ["reader", "root"]
	some address in ["10.0.0.7", "192.0.2.7"]
	some end in [0, 1000000000]
	roles := object.get(_people, [name, "roles"], ["plain"])
	asked := t.connect(roles, {"db_user": db_user, "client_address": address, "session_id": name, "identity": {
		"user": name,
		"roles": roles,
		"login_expires_ns": t.now + end,
		"login_address": "10.0.0.7",
	}})
	item := object.remove(asked, ["contract", "time"])
}

_asked := {"contract": 1, "time": t.now, "items": _items}

_singly := {id: decision |
	some id, item in _items
	decision := connect.decision with input as object.union(item, {"contract": 1, "time": t.now})
}

test_nobody_is_answered_for_another if {
	pushed := _pushed(_some_locks)
	answers := connect_batch.answers with data.regate as pushed with input as _asked
	singly := _singly with data.regate as pushed
	answers == singly
	count({allow | allow := answers[_].allow}) == 2
}

test_the_same_where_guards_may_speak if {
	pushed := t.awake(_pushed(_some_locks))
	answers := connect_batch.answers with data.regate as pushed with input as _asked
	singly := _singly with data.regate as pushed
	answers == singly
}

_crowd := {id: item |
	some id, item in _items
	item.identity.user in {"one", "two", "pinned", "by-name", "fenced"}
	item.db_user == "reader"
	item.identity.login_expires_ns > t.now
}

# One and two are asked once from two addresses; pinned, by-name and fenced are not asked with others.
test_people_who_differ_in_nothing_are_asked_once if {
	pushed := _pushed([])
	asked := object.union(object.remove(_asked, ["items"]), {"items": _crowd})
	decided := connect_batch._decided with data.regate as pushed with input as asked
	shared := connect_batch._shared with data.regate as pushed with input as asked
	alone := connect_batch._alone with data.regate as pushed with input as asked
	count(decided) == 1
	count(shared) == 4
	{_crowd[id].identity.user | some id in object.keys(shared)} == {"one", "two"}
	count(alone) == 6
}

# Hit stands apart from one and two by name alone, once for both addresses; and so does who is not there.
test_who_a_lock_names_is_asked_apart if {
	pushed := _pushed(_some_locks)
	items := {id: item |
		some id, item in _items
		item.identity.user in {"one", "two", "hit", "stranger"}
		item.db_user == "reader"
		item.identity.login_expires_ns > t.now
	}
	asked := object.union(object.remove(_asked, ["items"]), {"items": items})
	alike := connect_batch._alike with data.regate as pushed with input as asked
	decided := connect_batch._decided with data.regate as pushed with input as asked
	crowds := {{items[id].identity.user | some id, other in alike; other == one} | some one in object.keys(decided)}
	crowds == {{"one", "two"}, {"hit"}, {"stranger"}}
}

# The table above has what it is there for: a name that grants, a name that denies, and the others they are not.
test_names_matter_in_the_table if {
	singly := _singly with data.regate as _pushed([])
	verdicts := {name: allow |
		some name in ["by-name", "by-other-name", "by-deny", "one"]
		allow := singly[sprintf("%s as reader from 192.0.2.7 at 1000000000", [name])].allow
	}
	verdicts == {"by-name": true, "by-other-name": false, "by-deny": false, "one": true}
}
