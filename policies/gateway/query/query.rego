# METADATA
# title: May these statements run
# description: |
#   Asked on every client request. Selectors were matched at connect: here only the granting roles' names count, and
#   what the statements do. A role grants statements only if that same role granted the connect.
# scope: subpackages
# schemas:
#   - input: schema["input.query"]
package gateway.query

import data.gateway.lib.frame
import data.gateway.lib.guards
import data.gateway.lib.permissions

# METADATA
# title: The decision
# entrypoint: true
default decision := {
	"contract": 1,
	"allow": false,
	"reasons": [{"code": "input_invalid", "message": "the question is not one that can be answered"}],
	"obligations": {},
	"policy_revision": "",
	"data_revision": -1,
}

decision := object.union(frame.stamp, {"allow": false, "reasons": _objections, "obligations": {}}) if {
	count(_objections) > 0
}

decision := object.union(frame.stamp, {
	"allow": true,
	"reasons": [{"code": "role_permits", "role": name} | some name in input.session.roles],
	"obligations": {},
}) if {
	count(_objections) == 0
	count(input.session.roles) > 0
	_judged
}

# The order in which reasons are told: the data first, then what was not understood, then what is not granted.
_objections := array.concat(_about_session, array.concat(sort(_about_statements), sort(guards.objections)))

_about_session := array.concat(
	[{"code": "stale_session", "message": "roles, locks or policy changed since this session was opened"} | not _current],
	[{"code": "role_missing", "message": "a role that granted this session does not exist", "role": name} |
		some name in input.session.roles
		not data.regate.index.roles[name]
	],
)

_current if input.session.data_revision == data.regate.data_revision

_judged if is_array(input.request.statements)

# A granting role without db_permissions lifts the restriction of the others.
_unrestricted if {
	some name in input.session.roles
	data.regate.index.roles[name].restricted == false
}

# Permissions that any role of the user takes away, whichever role granted.
_denials := [permission |
	some name in data.regate.users[input.session.user].roles
	some permission in data.regate.index.roles[name].permissions.deny
]

_limited if not _unrestricted

_limited if count(_denials) > 0

_guarded if count(guards.active) > 0

_looked_at if _limited

_looked_at if _guarded

_about_statements contains reason if {
	_looked_at
	some statement in input.request.statements
	not _understood(statement)
	reason := {"code": "not_understood", "message": _not_understood(statement)}
}

_understood(statement) if {
	statement.complete == true
	is_array(statement.effects)
	is_array(statement.functions)
	is_array(statement.operators)
	is_array(statement.casts)
	is_array(statement.settings)
	not _has_unknown_effect(statement)
}

_has_unknown_effect(statement) if {
	some effect in statement.effects
	effect.class == "unknown"
}

_not_understood(statement) := sprintf("the statement was not fully understood (%s)", [statement.unknown_reason]) if {
	statement.unknown_reason != ""
} else := "the statement was not fully understood"

_about_statements contains reason if {
	_limited
	some statement in input.request.statements
	some effect in statement.effects
	not _harmless(effect)
	not _may(effect.operation, effect.object)
	reason := {
		"code": "operation_not_granted",
		"message": sprintf("no role grants %s", [_told(effect.operation, effect.object)]),
	}
}

_about_statements contains reason if {
	_limited
	some statement in input.request.statements
	some effect in statement.effects
	_taken_away(effect.operation, permissions.attributes(effect.object, input.session))
	reason := {
		"code": "operation_denied",
		"message": sprintf("a role denies %s", [_told(effect.operation, effect.object)]),
	}
}

# Functions, operators and types outside the list of harmless built-in ones.
_about_statements contains reason if {
	_limited
	some statement in input.request.statements
	some part, kind in {"functions": "function", "operators": "operator", "casts": "type"}
	some named in statement[part]
	not named.builtin == true
	thing := {"kind": kind, "schema": named.schema, "name": named.name}
	not _may_call(thing)
	reason := {
		"code": sprintf("%s_not_granted", [kind]),
		"message": sprintf("no role grants %s", [_told("use of", thing)]),
	}
}

_about_statements contains reason if {
	_limited
	some statement in input.request.statements
	some setting in statement.settings
	not _may_set(setting)
	reason := {
		"code": "setting_refused",
		"message": sprintf("setting %s may not be changed under db_permissions", [setting.name]),
	}
}

# Transaction control, and reads of nothing: functions and settings are judged on their own.
_harmless(effect) if {
	effect.object == null
	effect.operation in {"begin", "commit", "release", "reset", "rollback", "savepoint", "select", "set", "transaction"}
}

_may(_, _) if {
	_unrestricted
}

_may(operation, thing) if _granted(operation, permissions.attributes(thing, input.session))

_granted(operation, attributes) if {
	some name in input.session.roles
	some permission in data.regate.index.roles[name].permissions.allow
	permissions.covers(permission, operation, attributes)
}

_taken_away(operation, attributes) if {
	some permission in _denials
	permissions.covers(permission, operation, attributes)
}

_may_call(thing) if {
	attributes := permissions.attributes(thing, input.session)
	_granted("execute", attributes)
	not _taken_away("execute", attributes)
}

# Settings that steer neither how text is read, nor who somebody is, nor what a name means.
_settings := {
	"application_name",
	"client_min_messages",
	"datestyle",
	"extra_float_digits",
	"idle_in_transaction_session_timeout",
	"idle_session_timeout",
	"intervalstyle",
	"lock_timeout",
	"statement_timeout",
	"timezone",
	"transaction_deferrable",
	"transaction_isolation",
}

# Settings that steer how text is read, set to what the gateway pins them to anyway.
_pinned := {
	"client_encoding": {"unicode", "utf-8", "utf8"},
	"standard_conforming_strings": {"on", "true", "yes", "1"},
	"transaction_read_only": {"on", "true", "yes", "1"},
}

_may_set(setting) if {
	setting.scope in {"local", "session", "startup"}
	lower(setting.name) in _settings
}

_may_set(setting) if {
	setting.scope in {"local", "session", "startup"}
	lower(trim(setting.value, "'")) in _pinned[lower(setting.name)]
}

_told(operation, null) := sprintf("%s", [operation])

_told(operation, thing) := sprintf("%s %s %s", [operation, thing.kind, _path(thing)]) if thing != null

_path(thing) := thing.name if thing.schema == ""

_path(thing) := concat(".", [thing.schema, thing.name]) if thing.schema != ""
