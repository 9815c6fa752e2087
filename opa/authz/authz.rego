# METADATA
# title: Who may ask OPA what
# description: |
#   Anyone who reaches the socket may ask the decisions, by their exact paths, and whether OPA is well. Only the holder
#   of the token made at this start may push data or ask anything prepared. Policies come in a signed bundle and are
#   never written here.
package system.authz

default allow := false

# This rule comes first and compares whole values: it is asked for every statement, and OPA stops at the first yes.
allow if {
	input.method == "POST"
	input.path == ["v1", "data", "gateway", "query_batch", "answers"]
	input.params == {"strict-builtin-errors": ["true"]}
}

allow if {
	input.method == "GET"
	input.path == ["health"]
}

allow if {
	input.method == "POST"
	input.path in _decisions
	_plain
}

allow if {
	input.method == "POST"
	input.path in _prepared
	_is_supervisor
}

# What a guard's row filter leaves when the row is not known.
allow if {
	input.method == "POST"
	count(input.path) == 7
	array.slice(input.path, 0, 4) == ["v1", "compile", "gateway", "guards"]
	input.path[6] == "include"
	every name in array.slice(input.path, 4, 6) {
		regex.match(`^[A-Za-z0-9_-]+$`, name)
	}
	input.params == {}
	_is_supervisor
}

allow if {
	input.method == "PUT"
	array.slice(input.path, 0, 3) == ["v1", "data", "regate"]
	_is_supervisor
}

# What a patch names lies below the path that it is sent to.
allow if {
	input.method == "PATCH"
	input.path == ["v1", "data", "regate"]
	_is_supervisor
}

# Exact paths, not a prefix: `gateway%2f..%2fregate` would pass one.
_decisions := {
	["v1", "data", "gateway", "admin", "decision"],
	["v1", "data", "gateway", "agent", "decision"],
	["v1", "data", "gateway", "connect", "decision"],
	["v1", "data", "gateway", "connect_batch", "answers"],
	["v1", "data", "gateway", "join", "decision"],
	["v1", "data", "gateway", "login", "decision"],
	["v1", "data", "gateway", "visible", "decision"],
}

_prepared := {
	["v1", "data", "gateway", "prepare", "index"],
	["v1", "data", "gateway", "prepare", "problems"],
}

# Nothing that explains, traces or measures: it would tell of data.
_plain if object.keys(input.params) - {"strict-builtin-errors"} == set()

_is_supervisor if crypto.sha256(input.identity) == data.system.authz.supervisor.token_sha256
