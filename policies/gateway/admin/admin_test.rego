package gateway.admin_test

import data.gateway.admin
import data.gateway.testing_test as t

_rules(allow, deny) := t.role({"allow": {"rules": allow}, "deny": {"rules": deny}})

_editor := _rules([{"resources": ["role", "user"], "verbs": ["list", "create", "read", "update", "delete"]}], [])

_auditor := _rules([{"resources": ["event"], "verbs": ["list", "read"]}], [])

_roles := {"editor": _editor, "auditor": _auditor}

_decide(roles, verb, kind) := decision if {
	decision := admin.decision with data.regate as t.pushed(roles, {"alice": t.user(object.keys(roles))}, [])
		with input as {
			"contract": 1,
			"time": t.now,
			"subject": {"kind": "user", "name": "alice", "roles": object.keys(roles)},
			"verb": verb,
			"resource": {"kind": kind, "name": "x"},
		}
}

test_nothing_is_refused if {
	every nothing in [{}, null, {"subject": {"kind": "user"}}, {"subject": {"kind": "local-ish"}}, {"subject": {"kind": "user", "name": "alice", "roles": ["editor"]}, "verb": "read"}] {
		decision := admin.decision with input as nothing with data.regate as t.pushed(_roles, {"alice": t.user(["editor"])}, [])
		decision.allow == false
		t.codes(decision) == ["input_invalid"]
	}
}

test_whoever_is_on_the_host_may_all if {
	decision := admin.decision with input as {"subject": {"kind": "local", "name": "root", "roles": []}, "verb": "create", "resource": {"kind": "role", "name": ""}}
	decision.allow == true
}

test_rules_allow_what_they_list if {
	_decide(_roles, "create", "role").reasons == [{"code": "role_permits", "role": "editor"}]
	_decide(_roles, "list", "event").allow
	_decide(_roles, "readnosecrets", "user").allow
	_decide({"all": _rules([{"resources": "*", "verbs": ["*"]}], [])}, "delete", "lock").allow
	t.codes(_decide(_roles, "create", "event")) == ["rule_missing"]
	t.codes(_decide(_roles, "create", "lock")) == ["rule_missing"]
	t.codes(_decide({"r": _rules([{"resources": ["role"], "verbs": ["list"]}], [])}, "readnosecrets", "role")) == ["rule_missing"]
	t.codes(_decide({"r": t.role({})}, "read", "role")) == ["rule_missing"]
}

test_a_denying_rule_wins if {
	roles := object.union(_roles, {"deny": _rules([], [{"resources": ["role"], "verbs": ["delete"]}])})
	t.codes(_decide(roles, "delete", "role")) == ["denied_by_role"]
	_decide(roles, "create", "role").allow
}

test_conditions_are_not_evaluated_and_never_ignored if {
	condition := {"resources": ["role"], "verbs": ["read"], "where": "contains(user.spec.roles, \"x\")"}
	t.codes(_decide({"r": _rules([condition], [])}, "read", "role")) == ["rule_missing"]
	t.codes(_decide(object.union(_roles, {"r": _rules([], [condition])}), "read", "role")) == ["denied_by_role"]
}

test_a_locked_user_administers_nothing if {
	decision := admin.decision with data.regate as t.pushed(_roles, {"alice": t.user(["editor"])}, [{"spec": {"target": {"user": "alice"}}}])
		with input as {"time": t.now, "subject": {"kind": "user", "name": "alice", "roles": ["editor"]}, "verb": "read", "resource": {"kind": "role", "name": "x"}}
	t.codes(decision) == ["locked"]
}

_seconds := _rules([{"resources": ["hold"], "verbs": ["list", "read", "update"]}], [])

_hold(verb, asker) := decision if {
	decision := admin.decision with data.regate as t.pushed({"seconds": _seconds}, {"alice": t.user(["seconds"])}, [])
		with input as {
			"contract": 1,
			"time": t.now,
			"subject": {"kind": "user", "name": "alice", "roles": ["seconds"]},
			"verb": verb,
			"resource": {"kind": "hold", "name": asker},
		}
}

test_the_second_person_is_another_one if {
	_hold("update", "bob").allow
	_hold("read", "alice").allow
	t.codes(_hold("update", "alice")) == ["own_hold"]
}
