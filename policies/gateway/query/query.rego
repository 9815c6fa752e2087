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
import data.gateway.lib.obligations
import data.gateway.lib.statements

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

decision := _answer(false, _objections) if count(_objections) > 0

decision := object.union(permitted(input.session.roles), {"obligations": obligations.asked}) if {
	count(_objections) == 0
	count(input.session.roles) > 0
	is_array(input.request.statements)
}

# METADATA
# title: The yes of these roles
permitted(roles) := _answer(true, [{"code": "role_permits", "role": name} | some name in roles])

_answer(allow, reasons) := {
	"contract": frame.contract,
	"allow": allow,
	"reasons": reasons,
	"obligations": {},
	"policy_revision": frame.policy_revision,
	"data_revision": frame.data_revision,
}

# The order in which reasons are told: the data first, then what was not understood or granted, then guards.
_objections := array.flatten([_about_session, sort(_about_statements), sort(guards.objections)])

_about_session := array.concat(
	[{"code": "stale_session", "message": "roles, locks or policy changed since this session was opened"} |
		not _current
	],
	[{"code": "role_missing", "message": "a role that granted this session does not exist", "role": name} |
		some name in input.session.roles
		not data.regate.index.roles[name]
	],
)

_current if input.session.data_revision == frame.data_revision

_unrestricted if count(statements.lifting(input.session.roles)) > 0

_denied if count(statements.denying(input.session.user)) > 0

_limited if not _unrestricted

_limited if _denied

# What conceals holds only where it is known what a statement reads, and which code it runs.
_limited if obligations.conceals

_looked_at if _limited

_looked_at if count(guards.active) > 0

_about_statements contains {"code": "not_understood", "message": _not_understood(statement)} if {
	_looked_at
	some statement in input.request.statements
	not statements.understood(statement)
}

_about_statements contains reason if {
	not _unrestricted
	some statement in input.request.statements
	some effect in statement.effects
	not statements.effect_passes(effect, input.session)
	reason := {
		"code": "operation_not_granted",
		"message": sprintf("no role grants %s", [_told(effect.operation, effect.object)]),
	}
}

_about_statements contains reason if {
	_denied
	some statement in input.request.statements
	some effect in statement.effects
	statements.taken_away(effect.operation, effect.object, input.session)
	reason := {
		"code": "operation_denied",
		"message": sprintf("a role denies %s", [_told(effect.operation, effect.object)]),
	}
}

_about_statements contains reason if {
	_denied
	some statement in input.request.statements
	some effect in statement.effects
	statements.column_taken_away(effect, input.session)
	reason := {
		"code": "column_denied",
		"message": sprintf("a role denies columns in %s", [_told(effect.operation, effect.object)]),
	}
}

# What may not be read stands in the statistics, too, and in the texts that others sent. A permission that names such a
# view was meant so.
_about_statements contains reason if {
	_denied
	some statement in input.request.statements
	some effect in statement.effects
	obligations.tells(effect.object)
	statements.reading_taken_away(input.session.user)
	not statements.named(effect.operation, effect.object, input.session)
	reason := {
		"code": "operation_denied",
		"message": sprintf("%s may tell what a role denies", [_told("use of", effect.object)]),
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
		"message": sprintf("no role %s %s", [_granting, _told("use of", thing)]),
	}
}

_about_statements contains reason if {
	_limited
	some statement in input.request.statements
	some setting in statement.settings
	not statements.may_set(setting)
	reason := {
		"code": "setting_refused",
		"message": sprintf("setting %s may not be changed so under db_permissions", [setting.name]),
	}
}

_about_statements contains reason if {
	some thing in obligations.telling
	reason := {
		"code": "mask_refused",
		"message": sprintf("%s may tell what is concealed here", [_told("use of", thing)]),
	}
}

_may_call(thing) if {
	_grants_use(thing)
	not statements.taken_away("execute", thing, input.session)
}

# Some functions run a text or read what lies beside the tables: where something is concealed, a permission for
# everything is none for those. One that names the function was meant so.
_grants_use(thing) if {
	obligations.conceals
	statements.named("execute", thing, input.session)
}

_grants_use(thing) if {
	not obligations.conceals
	statements.granted("execute", thing, input.session)
}

default _granting := "grants"

_granting := "names (as it must where something is concealed)" if obligations.conceals

_not_understood(statement) := sprintf("the statement was not fully understood (%s)", [statement.unknown_reason]) if {
	statement.unknown_reason != ""
} else := "the statement was not fully understood"

_told(operation, thing) := operation if is_null(thing)

_told(operation, thing) := sprintf("%s %s %s", [operation, thing.kind, _path(thing)]) if is_object(thing)

_path(thing) := thing.name if thing.schema == ""

_path(thing) := concat(".", [thing.schema, thing.name]) if thing.schema != ""
