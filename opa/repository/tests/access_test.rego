package gateway.team.access_test

import data.gateway.connect
import data.gateway.query

# `regate policy test` puts the roles of this repository and the users and databases of `data/` in
# `data.regate`, as a cluster would.
_database(name) := object.union(data.regate.databases[name], {"name": name})

_connect(user, database, db_user) := {
	"contract": 1,
	"time": 0,
	"identity": {"user": user, "roles": data.regate.users[user].roles, "login_expires_ns": 1},
	"database": _database(database),
	"db_user": db_user,
	"db_name": "shop",
	"client_address": "127.0.0.1",
	"session_id": "s",
	"active_connections": 0,
}

_query(user, database, effects) := {
	"contract": 1,
	"time": 0,
	"session": {
		"user": user,
		"roles": data.regate.users[user].roles,
		"data_revision": data.regate.data_revision,
		"database": _database(database),
		"db_user": "reader",
		"db_name": "shop",
		"client_address": "127.0.0.1",
	},
	"request": {"statements": [{
		"operation": effects[0].operation,
		"class": effects[0].class,
		"effects": effects,
		"functions": [],
		"operators": [],
		"casts": [],
		"settings": [],
		"complete": true,
		"unknown_reason": "",
		"fingerprint": "",
	}]},
}

_on(operation, class, table) := {
	"operation": operation,
	"class": class,
	"object": {"kind": "table", "catalog": "shop", "schema": "public", "name": table},
	"columns": [],
	"has_where": true,
	"limit": null,
}

test_an_analyst_reads_the_shop if {
	connect.decision.allow with input as _connect("ada", "shop-dev", "reader")
	query.decision.allow with input as _query("ada", "shop-dev", [_on("select", "read", "orders")])
}

test_an_analyst_writes_nothing if {
	not query.decision.allow with input as _query("ada", "shop-dev", [_on("update", "write", "orders")])
}

test_nobody_reaches_production if {
	every user in ["ada", "eve"] {
		decision := connect.decision with input as _connect(user, "shop-live", "reader")
		decision.allow == false
		decision.reasons[0].code == "database_not_found"
	}
}

test_an_engineer_may_drop_in_development if {
	query.decision.allow with input as _query("eve", "shop-dev", [_on("drop", "ddl", "orders")])
}
