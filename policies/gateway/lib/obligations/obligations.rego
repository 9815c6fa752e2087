# METADATA
# title: What a yes is tied to
# description: |
#   Collects the obligations of the user's roles and of the guards: lists, which the gateway merges to the strictest.
#   As a deny does, an obligation counts in every role that the user has today, whoever granted the session. What a
#   guard asks for in a shape that is none is passed on as it is, for the gateway refuses what it does not know.
# schemas:
#   - input: schema["input.query"]
package gateway.lib.obligations

import data.gateway.lib.guards

_obliging(user) := {name |
	some name in data.regate.users[user].roles
	data.regate.index.obliging[name]
}

_of_roles := [obligation |
	some name in sort(_obliging(input.session.user))
	some obligation in data.regate.index.roles[name].obligations
]

_of_guards := [_shaped(obligation, path) |
	some path in sort(guards.active)
	[category, name] := split(path, "/")
	some obligation in data.gateway.guards[category][name].obligations
]

# A row filter is the guard's own rule `include`.
_shaped(obligation, path) := {"malformed": path} if not is_object(obligation)

_shaped(obligation, path) := object.union(obligation, {"row_filter": {"guard": path}}) if is_object(obligation.row_filter)

_shaped(obligation, _) := obligation if {
	is_object(obligation)
	not _filters(obligation)
}

_filters(obligation) if is_object(obligation.row_filter)

_all := array.concat(_of_roles, _of_guards)

# What conceals is asked for with every statement that touches something; what bounds, with all but transactions.
asked := object.union(
	{kind: wanted |
		some kind in _kinds
		_is_due(kind)
		wanted := [each | some obligation in _all; each := obligation[kind]]
	},
	_holds,
)

_kinds := {kind | some obligation in _all; some kind, _ in obligation} - {"hold"}

_is_due("mask") if _touches

_is_due("row_filter") if _touches

_is_due(kind) if {
	not kind in {"mask", "row_filter"}
	_runs
}

_touches if {
	some statement in input.request.statements
	some effect in statement.effects
	is_object(effect.object)
}

_runs if {
	some statement in input.request.statements
	not statement.operation in _transactions
}

_transactions := {"begin", "commit", "release", "rollback", "savepoint", "set", "show", "transaction"}

# A hold that is none is passed on, to be refused.
_bad_holds := [each | some obligation in _all; each := obligation.hold; not is_object(each)]

# A hold waits once; without operations it holds every statement that does something to something.
default _holds := {}

_holds := {"hold": wanted} if {
	wanted := array.concat(_bad_holds, [object.remove(each, ["operations"]) |
		some obligation in _all
		each := obligation.hold
		is_object(each)
		_holds_this(object.get(each, "operations", []))
	])
	count(wanted) > 0
}

_holds_this([]) if _touches

_holds_this(operations) if {
	some statement in input.request.statements
	some effect in statement.effects
	upper(effect.operation) in operations
}

# Where the operation is not known, it may be any.
_holds_this(operations) if {
	count(operations) > 0
	some statement in input.request.statements
	not statement.complete == true
}

# METADATA
# title: Something is concealed from this user
# description: Then statements must be understood, and code of others may not run.
conceals if {
	some obligation in _all
	some kind, _ in obligation
	kind in {"mask", "row_filter"}
}

# METADATA
# title: What tells of values by another way than reading the table
# description: The statistics hold values of columns, and other views hold the texts that were sent.
telling contains effect.object if {
	conceals
	some statement in input.request.statements
	some effect in statement.effects
	_tells(effect.object)
}

_tells(thing) if {
	thing.schema == "pg_catalog"
	thing.name in _tellers
}

# An extension's view, wherever it was put.
_tells(thing) if startswith(thing.name, "pg_stat_statements")

_tellers := {
	"pg_cursors",
	"pg_largeobject",
	"pg_prepared_statements",
	"pg_stat_activity",
	"pg_statistic",
	"pg_statistic_ext_data",
	"pg_stats",
	"pg_stats_ext",
	"pg_stats_ext_exprs",
}
