package gateway.prepare_test

import data.gateway.prepare
import data.gateway.testing_test as t

_problems(document) := found if {
	found := prepare.problems with input as {"contract": 1, "document": document}
}

_paths(document, severity) := [problem.path | some problem in _problems(document); problem.severity == severity]

test_nothing_has_an_empty_index if {
	every nothing in [{}, null, {"contract": 1}] {
		index := prepare.index with input as nothing
		index.roles == {}
	}
	prepare.problems == [] with input as {}
}

test_a_good_role_has_no_problem if {
	_problems(t.role({
		"allow": {
			"db_labels": {"env": ["dev", "^st.*$"], "*": "*"},
			"db_users": ["{{internal.db_users}}", "{{regexp.replace(external[\"my x\"], `a`, \"b\")}}"],
			"db_names": "*",
			"db_permissions": [{"match": {"object_kind": "table"}, "permissions": ["SELECT"]}],
			"logins": ["root"],
		},
		"deny": {},
		"options": {"max_session_ttl": "8h0m0s"},
	})) == []
	_problems(t.role({})) == []
	_problems({"kind": "user"}) == []
	_problems({"kind": "lock", "spec": {"target": {"user": "x"}, "expires": "2026-01-31T12:00:00Z"}}) == []
}

test_mistakes_are_named_by_their_path if {
	_paths(t.role({"allow": {"db_labels": {"env": "^(dev$"}}}), "error") == ["spec.allow.db_labels.env"]
	_paths(t.role({"allow": {"db_labels": {"env": 1}}}), "error") == ["spec.allow.db_labels.env"]
	_paths(t.role({"allow": {"db_labels": {"env": [1]}}}), "error") == ["spec.allow.db_labels.env"]
	_paths(t.role({"allow": {"db_labels": {"*": "x"}}}), "error") == ["spec.allow.db_labels.*"]
	_paths(t.role({"deny": {"db_labels": ["x"]}}), "error") == ["spec.deny.db_labels"]
	_paths(t.role({"allow": {"db_users": ["{{x}}"]}}), "error") == ["spec.allow.db_users"]
	_paths(t.role({"allow": {"db_users": ["a}}"]}}), "error") == ["spec.allow.db_users"]
	_paths(t.role({"allow": {"db_users": [["x"]]}}), "error") == ["spec.allow.db_users"]
	_paths(t.role({"allow": {"db_names": [1]}}), "error") == ["spec.allow.db_names"]
	_paths(t.role({"allow": {"db_permissions": {}}}), "error") == ["spec.allow.db_permissions"]
	_paths(t.role({"allow": {"db_permissions": [{"match": {"schema": "^($"}}]}}), "error") == ["spec.allow.db_permissions[0].match.schema"]
	_paths(t.role({"allow": {"db_users": ["{{regexp.replace(external.x, \"(\", \"\")}}"]}}), "error") == ["spec.allow.db_users"]
	_paths(t.role({"options": {"max_session_ttl": "long"}}), "error") == ["spec.options.max_session_ttl"]
	_paths(t.role({"allow": {"db_permissions": [5, {"permissions": [5]}]}}), "error") == ["spec.allow.db_permissions[0]", "spec.allow.db_permissions[1]"]
	every long in ["9999999h", "99999h1h", "1m1h", "h"] {
		_paths(t.role({"options": {"max_session_ttl": long}}), "error") == ["spec.options.max_session_ttl"]
	}
}

_lock(spec) := {"kind": "lock", "spec": object.union({"target": {"user": "x"}}, spec)}

test_a_time_must_be_one_of_the_calendar if {
	every expires in [
		"tomorrow", 5, null, "2026-02-31T00:00:00Z", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
		"2026-04-31T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00+99:99",
		"0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z",
	] {
		_paths(_lock({"expires": expires}), "error") == ["spec.expires"]
	}
	every expires in [
		"2026-02-28T00:00:00Z", "2028-02-29T00:00:00Z", "2000-02-29T00:00:00Z", "2026-04-30T00:00:00.5Z",
		"2026-12-31T23:59:59+02:00", "2261-12-31T23:59:59-23:59", "9999-12-31T23:59:59Z",
	] {
		_problems(_lock({"expires": expires})) == []
	}
}

test_a_lock_names_something_that_is_known if {
	every target in [{}, {"mfa_device": "x"}, null, "x"] {
		_paths({"kind": "lock", "spec": {"target": target}}, "error") == ["spec.target"]
	}
	_paths({"kind": "lock", "spec": {}}, "error") == ["spec.target"]
	_paths({"kind": "lock"}, "error") == ["spec.target"]
	_problems(_lock({"target": {"db_user": "x"}})) == []
}

test_a_lock_that_names_nothing_known_is_not_in_the_index if {
	index := prepare.index with input as {
		"contract": 1,
		"roles": {},
		"locks": [{"spec": {"target": {"mfa_device": "x"}}}, {"spec": {"target": {}}}, {"spec": {"target": "x"}}, {"spec": 1}],
	}
	index.locks == []
}

test_a_role_for_hosts_too_grants_databases if {
	_problems(t.role({"options": {"create_host_user": false, "create_host_user_mode": "off"}})) == []
}

test_what_is_not_carried_out_is_warned_about if {
	_paths(t.role({"allow": {"db_roles": ["x"]}}), "warning") == ["spec.allow.db_roles"]
	_paths(t.role({"deny": {"db_roles": ["x"]}}), "warning") == ["spec.deny.db_roles"]
	_paths(t.role({"allow": {"db_permissions": [{"match": {"columns": "x"}, "permissions": ["SELECT"]}]}}), "warning") == ["spec.allow.db_permissions.match.columns"]
	_paths(t.role({"options": {"require_session_mfa": true}}), "warning") == ["spec.options.require_session_mfa"]
	_paths(t.role({"allow": {"db_permissions": [{"match": {"owner": "x"}, "columns": ["a"], "permissions": []}]}}), "warning") == [
		"spec.allow.db_permissions.columns",
		"spec.allow.db_permissions.match.owner",
	]
}

test_conditions_of_our_own_version_are_checked if {
	every side in ["allow", "deny"] {
		_paths(t.own({side: {"time_windows": [{"days": ["funday"]}]}}), "error") == [sprintf("spec.%s.time_windows", [side])]
		_paths(t.own({side: {"source_networks": ["nowhere"]}}), "error") == [sprintf("spec.%s.source_networks", [side])]
		_problems(t.own({side: {"time_windows": [{}], "source_networks": ["::1"]}})) == []
		_problems(t.own({side: {"time_windows": null, "source_networks": null}})) == []
	}
	_problems(t.own({"allow": {"db_permissions": [{"match": {"columns": ["id"]}, "permissions": ["SELECT"]}]}})) == []
	_paths(t.own({"allow": {"db_permissions": [{"match": {"columns": "^($"}, "permissions": ["SELECT"]}]}}), "error") == ["spec.allow.db_permissions[0].match.columns"]
}

test_one_bad_document_does_not_spoil_the_others if {
	index := prepare.index with input as {
		"contract": 1,
		"roles": {"bad": null, "worse": {"spec": 1}, "good": t.role({}), "text": "x"},
		"locks": [
			{"spec": {"target": {"user": "x"}, "expires": "2026-02-31T00:00:00Z", "message": 5}},
			{"spec": {"target": {"user": "y"}, "expires": "9999-01-01T00:00:00Z"}},
			{"spec": {"target": {"user": "z"}, "expires": "1970-01-01T00:00:01Z", "message": "over"}},
		],
	}
	"good" in object.keys(index.roles)
	not "bad" in object.keys(index.roles)

	# A lock whose end cannot be read has none, nor has one that ends in a far future.
	index.locks == [
		{"target": {"user": "x"}, "message": ""},
		{"target": {"user": "y"}, "message": ""},
		{"target": {"user": "z"}, "message": "over", "expires_ns": 1000000000},
	]
}

_switch(guard, settings) := {"kind": "guard", "spec": {"guard": guard, "except": {"env": "dev"}, "settings": settings}}

_monday := [{"days": ["mon"], "zone": "UTC"}]

test_a_good_guard_has_no_problem if {
	_problems(_switch("writes/where-required", {})) == []
	_problems({"kind": "guard", "spec": {"guard": "schema/no-ddl"}}) == []
	_problems(_switch("time/business-hours", {"windows": _monday})) == []
	_problems(_switch("reads/bounded-pii", {"tables": [{"schema": "app", "name": "p*"}], "max_rows": 5})) == []
	_problems(_switch("changes/maintenance-freeze", {"from": "2026-01-31T12:00:00Z", "until": "2026-02-01T12:00:00Z"})) == []
}

test_mistakes_of_guards_are_named_by_their_path if {
	_paths(_switch("writes/where-requird", {}), "error") == ["spec.guard"]
	_paths(_switch("time/business-hours", {}), "error") == ["spec.settings.windows"]
	_paths(_switch("time/business-hours", {"windows": [{"zone": "Mars/Olympus"}]}), "error") == ["spec.settings.windows"]
	_paths(_switch("changes/maintenance-freeze", {"from": "soon"}), "error") == ["spec.settings.from"]
	_paths(_switch("changes/maintenance-freeze", {"until": "9999-01-31T12:00:00Z"}), "error") == ["spec.settings.until"]
	_paths(_switch("reads/bounded-pii", {"tables": [{"column": "x"}]}), "error") == ["spec.settings.tables"]
	_paths({"kind": "guard", "spec": {"guard": "schema/no-ddl", "except": {"env": "^(dev$"}}}, "error") == ["spec.except.env"]
}

# Asleep is only what certainly has no guard: a bundle that does not say so may have one.
test_guards_are_asleep_only_where_none_can_object if {
	none := {"contract": 1, "roles": {}, "locks": [], "guards": []}
	one := object.union(none, {"guards": [_switch("schema/no-ddl", {})]})
	_is_asleep(none, {"team_guards": false})
	every case in [[none, {"team_guards": true}], [none, {}], [one, {"team_guards": false}], [one, {}]] {
		not _is_asleep(case[0], case[1])
	}
	not prepare.index.asleep with input as none
}

_is_asleep(question, inventory) if {
	prepare.index.asleep with input as question with data.gateway.inventory as inventory
}
