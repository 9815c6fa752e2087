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
	_paths({"kind": "lock", "spec": {"expires": "tomorrow"}}, "error") == ["spec.expires"]
	_paths({"kind": "lock", "spec": {"expires": 5}}, "error") == ["spec.expires"]
}

test_what_is_not_carried_out_is_warned_about if {
	_paths(t.role({"allow": {"db_labels_expression": "x"}}), "warning") == ["spec.allow.db_labels_expression"]
	_paths(t.role({"deny": {"db_labels_expression": "x"}}), "warning") == ["spec.deny.db_labels_expression"]
	_paths(t.role({"options": {"require_session_mfa": true}}), "warning") == ["spec.options.require_session_mfa"]
	_paths(t.role({"allow": {"db_permissions": [{"match": {"owner": "x"}, "columns": ["a"], "permissions": []}]}}), "warning") == [
		"spec.allow.db_permissions.columns",
		"spec.allow.db_permissions.match.owner",
	]
}

test_one_bad_document_does_not_spoil_the_others if {
	index := prepare.index with input as {
		"contract": 1,
		"roles": {"bad": null, "worse": {"spec": 1}, "good": t.role({}), "text": "x"},
		"locks": [{"spec": {"target": {"user": "x"}, "expires": "2026-02-31T00:00:00Z"}}],
	}
	"good" in object.keys(index.roles)
	not "bad" in object.keys(index.roles)

	# A lock whose end cannot be read has none.
	index.locks == [{"target": {"user": "x"}, "message": ""}]
}
