package system.authz_test

import data.system.authz

_supervisor := {"token_sha256": crypto.sha256("secret")}

_allowed(method, path, identity, params) if {
	allowed := authz.allow with authz.supervisor as _supervisor with input as {
		"method": method,
		"path": split(path, "/"),
		"identity": identity,
		"params": params,
	}
	allowed
}

test_anyone_may_ask_a_decision_and_for_health if {
	_allowed("POST", "v1/data/gateway/query_batch/answers", "", {"strict-builtin-errors": ["true"]})
	_allowed("POST", "v1/data/gateway/connect/decision", "", {})
	_allowed("GET", "health", "", {})
}

test_only_the_supervisor_pushes_and_prepares if {
	_allowed("PUT", "v1/data/regate", "secret", {})
	_allowed("PUT", "v1/data/regate/roles", "secret", {})
	_allowed("PATCH", "v1/data/regate", "secret", {})
	_allowed("POST", "v1/data/gateway/prepare/index", "secret", {})
	every identity in ["", "wrong"] {
		not _allowed("PUT", "v1/data/regate", identity, {})
		not _allowed("PATCH", "v1/data/regate", identity, {})
		not _allowed("POST", "v1/data/gateway/prepare/index", identity, {})
	}
}

test_only_the_supervisor_compiles_a_guards_row_filter if {
	_allowed("POST", "v1/compile/gateway/guards/rows/orders-eu/include", "secret", {})
	not _allowed("POST", "v1/compile/gateway/guards/rows/orders-eu/include", "", {})
	every path in [
		"v1/compile/gateway/guards/rows/orders-eu/deny", "v1/compile/gateway/guards/rows/a.b/include",
		"v1/compile/gateway/guards/rows/include", "v1/compile/gateway/query/query/decision/include",
	] {
		not _allowed("POST", path, "secret", {})
	}
	not _allowed("POST", "v1/compile/gateway/guards/rows/orders-eu/include", "secret", {"explain": ["full"]})
}

test_nothing_else_is_let_through if {
	every case in [
		["GET", "v1/data"], ["GET", "v1/data/regate"], ["POST", "v1/data"], ["POST", "v1/data/regate"],
		["POST", "v1/data/gateway"], ["POST", "v1/data/gateway/query_batch/answers/x"],
		["POST", "v1/data/gateway/../regate"], ["POST", "v1/query"], ["POST", "v1/compile"], ["PUT", "v1/policies/x"],
		["DELETE", "v1/policies/x"], ["DELETE", "v1/data/regate"],
		["PATCH", "v1/data"], ["PATCH", "v1/data/gateway"], ["PATCH", "v1/data/regate/roles"], ["PATCH", "v1/policies/x"],
		["PUT", "v1/data/gateway"], ["PUT", "v1/data"], ["GET", "v1/policies"], ["GET", "metrics"], ["GET", "v1/config"],
	] {
		not _allowed(case[0], case[1], "secret", {})
	}
	not _allowed("POST", "v1/data/gateway/connect/decision", "", {"explain": ["full"]})
	not _allowed("POST", "v1/data/gateway/query_batch/answers", "", {"explain": ["full"]})
	not _allowed("POST", "v1/data/gateway/query_batch/answers", "", {})
	not authz.allow with input as {}
}
