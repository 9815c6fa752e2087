# METADATA
# title: What tests of several packages build on
# description: Documents as they are stored, and the data that publishing makes of them.
package gateway.testing_test

import data.gateway.prepare

now := 1790000000000000000

role(spec) := {"kind": "role", "version": "v7", "spec": spec}

own(spec) := {"kind": "role", "version": "regate/v1", "spec": spec}

# The pushed data for these roles, users and locks.
pushed(roles, users, locks) := {"data_revision": 7, "users": users, "index": index} if {
	made := prepare.index with input as {"contract": 1, "roles": roles, "locks": locks}
	index := object.union(made, {"asleep": true})
}

# The same where a team may have guards of its own.
awake(data_) := object.union(data_, {"index": {"asleep": false}})

# The same with these guards switched on, everywhere but on databases of these labels.
guarded(roles, users, guards) := {"data_revision": 7, "users": users, "index": index} if {
	index := prepare.index with input as {"contract": 1, "roles": roles, "locks": [], "guards": guards}
}

guard(path, except, settings) := {
	"kind": "guard",
	"version": "regate/v1",
	"spec": {"guard": path, "except": except, "settings": settings},
}

# A question about these statements on a database with these labels.
on_labels(labels, statements) := object.union(object.remove(asked, ["session"]), {"session": object.union(
	object.remove(asked.session, ["database"]),
	{"database": {"name": "d", "protocol": "postgres", "labels": labels}},
)}) if {
	asked := query(["r"], statements)
}

# Forms in which something else runs than what stands there: none of them is understood.
hidden_forms := [
statement({"operation": operation, "class": "unknown", "complete": false, "effects": [effect(operation, null)]}) |
	some operation in ["call", "do", "execute", "unknown"]
]

user(roles) := {"roles": roles, "traits": {}, "locked": false}

database := {"name": "orders-db", "protocol": "postgres", "labels": {"env": "dev", "team": "platform"}}

# A connect by alice, who has all the roles there are.
connect(roles, change) := object.union(
	{
		"contract": 1,
		"time": now,
		"identity": {"user": "alice", "roles": roles, "login_expires_ns": now + 1000000000},
		"database": database,
		"db_user": "reader",
		"db_name": "app",
		"client_address": "127.0.0.1",
		"session_id": "s",
		"active_connections": 0,
	},
	change,
)

statement(change) := object.union(
	{
		"operation": "select",
		"class": "read",
		"effects": [],
		"functions": [],
		"operators": [],
		"casts": [],
		"settings": [],
		"complete": true,
		"unknown_reason": "",
		"fingerprint": "",
	},
	change,
)

effect(operation, thing) := {
	"operation": operation,
	"class": "read",
	"object": thing,
	"columns": [],
	"has_where": false,
	"limit": null,
}

table(schema, name) := {"kind": "table", "catalog": "", "schema": schema, "name": name}

query(roles, statements) := {
	"contract": 1,
	"time": now,
	"session": {
		"user": "alice",
		"roles": roles,
		"data_revision": 7,
		"database": database,
		"db_user": "reader",
		"db_name": "app",
		"client_address": "127.0.0.1",
	},
	"request": {"statements": statements},
}

codes(decision) := [reason.code | some reason in decision.reasons]
