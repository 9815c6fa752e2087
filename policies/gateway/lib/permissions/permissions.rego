# METADATA
# title: What db_permissions cover
# description: Whether a permission covers an operation on an object; it knows neither roles nor labels of databases.
package gateway.lib.permissions

import data.gateway.lib.labels

# The words that cover an operation on a kind of object: its own, save where another says it. The server's own
# files and programs have words of their own, so that reading tables never grants them.
words(_, "file") := ["FILE"]

words(_, "program") := ["PROGRAM"]

words(operation, kind) := object.get(
	{"copy_in": ["INSERT"], "copy_out": ["SELECT"], "lock": ["LOCK", "UPDATE"]},
	operation,
	[upper(operation)],
) if {
	not kind in {"file", "program"}
}

# The permission covers the operation on the object, described by its attributes.
covers(permission, operation, attributes) if {
	_names(permission.operations, words(operation, object.get(attributes, "object_kind", "")))
	labels.selects(permission.match, attributes, {})
}

# The columns of an effect, without the star, and whether they are all: a lone star is one that nobody resolved.
named(columns) := {column | some column in columns; column != "*"}

are_known(columns) if not "*" in columns

are_known(columns) if count(named(columns)) > 0

# Operations that are about columns; any other takes a row, or a table, as a whole.
_columnwise := {"copy_in", "copy_out", "insert", "select", "update"}

# A column permission is about tables. Of a view it is about only where it names that kind: what a view's columns hold
# cannot be seen.
about_columns(permission, operation, thing) if {
	operation in _columnwise
	_shows_itself(permission, thing.kind)
}

_shows_itself(_, kind) if kind in {"foreign_table", "table"}

_shows_itself(permission, kind) if permission.match.keys.object_kind.literals[kind]

# The columns of which this permission grants the operation; null for a permission that does not cover the object.
granted_columns(permission, effect, attributes) := {column |
	some column in named(effect.columns)
	labels.matches(permission.columns, column, {})
} if {
	about_columns(permission, effect.operation, effect.object)
	covers(permission, effect.operation, attributes)
}

# A denied column is touched, or may be.
touches(permission, effect, attributes) if {
	covers(permission, effect.operation, attributes)
	_may_touch(permission, effect)
}

_may_touch(permission, effect) if {
	some column in named(effect.columns)
	labels.matches(permission.columns, column, {})
}

_may_touch(_, effect) if not are_known(effect.columns)

_may_touch(_, effect) if not effect.object.kind in {"foreign_table", "table"}

# Locking a row changes no column of it, though it is a kind of UPDATE.
_may_touch(permission, effect) if {
	not effect.operation in _columnwise
	not _only_locks(permission, effect.operation)
}

_only_locks(permission, "lock") if {
	not permission.operations["*"]
	not permission.operations.LOCK
}

_names(operations, _) if operations["*"] == true

_names(operations, wanted) if {
	some word in wanted
	operations[word] == true
}

# How an object is matched: what it does not have, no pattern matches.
attributes(thing, session) := object.union(_own(thing), {
	"database": session.db_name,
	"database_service_name": session.database.name,
	"protocol": session.database.protocol,
})

_own(thing) := {} if is_null(thing)

_own(thing) := {"object_kind": thing.kind, "schema": thing.schema, "name": thing.name} if is_object(thing)

# METADATA
# title: The places of the objects that these selectors can be about, as one expression
# description: |
#   It may be about more than they are, never about less: what it does not match no selector selects. Written from the
#   selectors as they stand, before they are compiled.
reach(selectors) := concat("", ["^(?s:", concat("|", [_reach(selector) | some selector in selectors]), ")$"])

_reach(selector) := concat("\u0000", [labels.loosely(labels.as_list(object.get(selector, key, "*"))) |
	some key in ["object_kind", "schema", "name"]
])

# METADATA
# title: The place of an object, for an expression of `reach`
# scope: document
place(thing) := "\u0000\u0000" if is_null(thing)

place(thing) := concat("\u0000", [thing.kind, thing.schema, thing.name]) if is_object(thing)

# METADATA
# title: What permissions without patterns grant
# description: By kind, schema, name and operation, so that a question needs one look and no matching.
exact(granted) := object.union_n([found |
	some permission in granted
	object.keys(permission.match.keys) == {"name", "object_kind", "schema"}
	_is_exact(permission)
	operations := {operation: true | some word, _ in permission.operations; some operation in _covered(word)}
	names := {name: operations | some name, _ in permission.match.keys.name.literals}
	schemas := {schema: names | some schema, _ in permission.match.keys.schema.literals}
	found := {kind: schemas |
		some kind, _ in permission.match.keys.object_kind.literals
		not kind in _own_words
	}
])

# Kinds of objects that have words of their own.
_own_words := {"file", "program"}

# The operations that a word covers; the converse of `words`.
_covered(word) := object.get(
	{
		"*": [],
		"COPY_IN": [],
		"COPY_OUT": [],
		"INSERT": ["insert", "copy_in"],
		"SELECT": ["select", "copy_out"],
		"UPDATE": ["update", "lock"],
	},
	word,
	[lower(word)],
)

_is_exact(permission) if {
	every matcher in permission.match.keys {
		matcher.any == false
		matcher.patterns == []
	}
}
