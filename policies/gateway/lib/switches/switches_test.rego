package gateway.lib.switches_test

import data.gateway.lib.switches
import data.gateway.query
import data.gateway.query_batch
import data.gateway.testing_test as t

_roles := {"wide": t.role({"allow": {}})}

_users := {"alice": t.user(["wide"])}

_no_ddl(except) := t.guard("schema/no-ddl", except, {})

_drop := t.statement({"class": "ddl", "effects": [object.union(t.effect("drop", t.table("app", "t")), {"class": "ddl"})]})

_quiet(guards, labels) if {
	switches.quiet({"name": "d", "protocol": "postgres", "labels": labels}) with data.regate as t.guarded(_roles, _users, guards)
		with data.gateway.inventory as {"team_guards": false}
}

_loud(guards, labels) if not _quiet(guards, labels)

test_guards_elsewhere_leave_a_database_quiet if {
	_quiet([], {})
	_quiet([_no_ddl({"env": "dev"})], {"env": "dev"})
	_quiet([_no_ddl({"env": ["dev", "qa"]}), _no_ddl({"env": "dev"}), t.guard("writes/where-required", {"env": "*"}, {})], {"env": "dev"})
}

test_one_guard_is_enough if {
	_loud([_no_ddl({})], {"env": "dev"})
	_loud([_no_ddl({"env": "dev"})], {})
	_loud([_no_ddl({"env": "dev"})], {"env": "prod"})
	_loud([_no_ddl({"env": "dev"}), t.guard("writes/where-required", {"env": "qa"}, {})], {"env": "dev"})
	_loud([_no_ddl({"env": "dev"}), _no_ddl({"env": "qa"})], {"env": "dev"})
}

test_nobody_is_quiet_where_a_team_may_have_guards if {
	every inventory in [{}, {"team_guards": true}] {
		not switches.quiet({"labels": {}}) with data.regate as t.guarded(_roles, _users, []) with data.gateway.inventory as inventory
	}
	not switches.quiet({"labels": {}}) with data.regate as {} with data.gateway.inventory as {"team_guards": false}
}

# The batch takes the short way past quiet databases, and says what the single question says all the same.
_answers(labels) := [single, answers.x] if {
	question := t.on_labels(labels, [_drop])
	asked := json.patch(question, [{"op": "replace", "path": "/session/roles", "value": ["wide"]}])
	pushed := t.guarded(_roles, _users, [_no_ddl({"env": "dev"})])
	single := query.decision with input as asked with data.regate as pushed with data.gateway.inventory as {"team_guards": false}
	answers := query_batch.answers with data.regate as pushed with data.gateway.inventory as {"team_guards": false} with input as {
		"contract": 1,
		"time": t.now,
		"items": {"x": object.remove(asked, ["contract", "time"])},
	}
}

test_a_guard_counts_where_it_is_on if {
	[excepted, excepted_batch] := _answers({"env": "dev"})
	excepted.allow == true
	excepted_batch == excepted
	every labels in [{}, {"env": "prod"}] {
		[guarded, guarded_batch] := _answers(labels)
		t.codes(guarded) == ["ddl_refused"]
		guarded_batch == guarded
	}
}
