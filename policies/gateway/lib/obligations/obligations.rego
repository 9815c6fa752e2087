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

# METADATA
# title: What the roles of this user ask for
of_roles(user) := [obligation |
	some name in data.regate.users[user].roles
	data.regate.index.obliging[name]
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

_all := array.concat(of_roles(input.session.user), _of_guards)

asked := due(_all, input.request.statements)

# METADATA
# title: Which of these obligations come with these statements
# description: |
#   What conceals is asked for with every statement that touches something; what bounds, with all but transactions.
# scope: document
due([], _) := {}

due(obligations, statements) := _with_holds(kinds, bounds, obligations, statements) if {
	count(obligations) > 0
	kinds := {kind | some obligation in obligations; some kind, _ in obligation}
	bounds := {kind: wanted |
		some kind in kinds
		_is_due(kind, statements)
		wanted := [each | some obligation in obligations; each := obligation[kind]]
	}
}

_with_holds(kinds, bounds, _, _) := bounds if not "hold" in kinds

_with_holds(kinds, bounds, obligations, statements) := object.union(bounds, _holds(obligations, statements)) if "hold" in kinds

_is_due("mask", statements) if _touches(statements)

_is_due("row_filter", statements) if _touches(statements)

_is_due(kind, statements) if {
	not kind in {"hold", "mask", "row_filter"}
	_runs(statements)
}

_touches(statements) if {
	some statement in statements
	some effect in statement.effects
	is_object(effect.object)
}

_runs(statements) if {
	some statement in statements
	not statement.operation in _transactions
}

_transactions := {"begin", "commit", "release", "rollback", "savepoint", "set", "show", "transaction"}

# A hold waits once; without operations it holds every statement that does something to something.
default _holds(_, _) := {}

_holds(obligations, statements) := {"hold": wanted} if {
	wanted := array.concat(_bad_holds(obligations), [object.remove(each, ["operations"]) |
		some obligation in obligations
		each := obligation.hold
		is_object(each)
		_holds_these(object.get(each, "operations", []), statements)
	])
	count(wanted) > 0
}

# A hold that is none is passed on, to be refused.
_bad_holds(obligations) := [each | some obligation in obligations; each := obligation.hold; not is_object(each)]

_holds_these([], statements) if _touches(statements)

_holds_these(operations, statements) if {
	some statement in statements
	some effect in statement.effects
	upper(effect.operation) in operations
}

# Where the operation is not known, it may be any.
_holds_these(operations, statements) if {
	count(operations) > 0
	some statement in statements
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
# title: What these statements would tell of values by another way than reading the table
telling contains effect.object if {
	conceals
	some statement in input.request.statements
	some effect in statement.effects
	tells(effect.object)
}

# METADATA
# title: A relation that tells of values in others
# description: The statistics hold values of columns, and other views hold the texts that were sent.
# scope: document
tells(thing) if {
	thing.schema == "pg_catalog"
	thing.name in _tellers
}

# An extension's view, wherever it was put.
tells(thing) if startswith(thing.name, "pg_stat_statements")

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
