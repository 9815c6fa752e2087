package gateway.visible_test

import data.gateway.prepare
import data.gateway.testing_test as t
import data.gateway.visible

_databases := [
	t.database,
	{"name": "prod-db", "protocol": "mysql", "labels": {"env": "prod"}},
	{"name": "bare", "protocol": "redis", "labels": {}},
]

_list(roles, traits) := decision.databases if {
	decision := visible.decision with data.regate as t.pushed(roles, {"alice": {"roles": object.keys(roles), "traits": traits}}, [])
		with input as {
			"contract": 1,
			"time": t.now,
			"identity": {"user": "alice", "roles": object.keys(roles), "login_expires_ns": t.now + 1},
			"databases": _databases,
		}
}

test_nothing_shows_nothing if {
	every nothing in [{}, null, {"contract": 1}, {"databases": _databases}] {
		decision := visible.decision with input as nothing
		decision.databases == []
	}
}

test_what_a_deny_may_mean_is_hidden if {
	roles := {"r": t.role({
		"allow": {"db_labels": {"*": "*"}, "db_users": ["*"], "db_names": ["*"]},
		"deny": {"db_labels_expression": "of whom"},
	})}
	local := {"source": {"kind": "label", "key": "env"}, "steps": [{"kind": "local"}]}
	ada := {"source": {"kind": "text", "value": "ada"}, "steps": []}
	index := prepare.index with input as {
		"contract": 1,
		"roles": roles,
		"locks": [],
		"expressions": {"of whom": [[{"kind": "equal", "left": local, "right": ada, "holds": true}]]},
	}
	shown := visible.decision.databases with data.regate as {"data_revision": 7, "users": {"alice": t.user(["r"])}, "index": index}
		with input as {
			"contract": 1,
			"time": t.now,
			"identity": {"user": "alice", "roles": ["r"], "login_expires_ns": t.now + 1},
			"databases": [{"name": "orders-db", "protocol": "postgres", "labels": {"env": "no address"}}],
		}
	shown == []
}

test_a_user_sees_what_a_role_grants_and_none_hides if {
	roles := {
		"dev": t.role({"allow": {"db_labels": {"env": "dev"}, "db_users": ["reader", "{{internal.db_users}}"], "db_names": ["app"]}}),
		"prod": t.role({"allow": {"db_labels": {"env": ["prod", "dev"]}, "db_users": ["root", "writer"]}}),
		"deny": t.role({"deny": {"db_users": ["root"], "db_names": ["hidden"]}}),
	}
	_list(roles, {"db_users": ["ada"]}) == [
		{"name": "orders-db", "db_users": ["ada", "reader", "writer"], "db_names": ["app"]},
		{"name": "prod-db", "db_users": ["writer"], "db_names": ["*"]},
	]
}

test_all_databases_and_one_hidden if {
	roles := {
		"all": t.role({"allow": {"db_labels": {"*": "*"}, "db_users": ["*"], "db_names": ["*", "hidden"]}}),
		"deny": t.role({"deny": {"db_labels": {"env": "prod"}, "db_names": ["hidden"]}}),
	}
	[entry.name | some entry in _list(roles, {})] == ["orders-db", "bare"]
	_list(roles, {})[0].db_names == ["*"]
}

test_a_locked_user_sees_nothing if {
	roles := {"all": t.role({"allow": {"db_labels": {"*": "*"}, "db_users": ["*"], "db_names": ["*"]}})}
	decision := visible.decision with data.regate as t.pushed(roles, {"alice": t.user(["all"])}, [{"spec": {"target": {"user": "alice"}}}])
		with input as {
			"contract": 1,
			"time": t.now,
			"identity": {"user": "alice", "roles": ["all"], "login_expires_ns": t.now + 1},
			"databases": _databases,
		}
	decision.databases == []
}
