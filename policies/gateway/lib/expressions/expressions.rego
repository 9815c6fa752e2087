# METADATA
# title: Label expressions
# description: |
#   Decides with the program of a `db_labels_expression`: a list of ways, each a list of tests that must all hold. It was
#   made of the text when data was published, because Rego knows no recursion. `who` is `{name, traits}`.
package gateway.lib.expressions

import data.gateway.lib.labels
import data.gateway.lib.templates

# METADATA
# title: The expression holds for these labels and this user
# description: A test whose value cannot be made (an address that is none) does not hold, negated or not.
holds(program, found, who) if {
	some way in program
	count(way) > 0
	every test in way {
		_comes_out(test, found, who)
	}
}

# METADATA
# title: Some value cannot be made, so nobody knows what a deny meant
undecided(program, found, who) if {
	some way in program
	some test in way
	not _is_made(test, found, who)
}

# METADATA
# title: The program has no pattern that OPA cannot read
is_valid(program) if {
	is_array(program)
	every way in program {
		every test in way {
			_is_pattern(test.kind, test.right)
			_has_patterns(test.left)
			_has_patterns(test.right)
		}
	}
}

_is_pattern(kind, _) if kind != "match"

_is_pattern("match", value) if regex.is_valid(value.source.value)

_has_patterns(value) if {
	_is_source(value.source)
	every step in value.steps {
		_is_step(step)
	}
}

_is_source(source) if source.kind != "labels_matching"

_is_source(source) if regex.is_valid(labels.expression(source.pattern))

_is_step(step) if step.kind != "replace"

_is_step(step) if regex.is_valid(step.pattern)

_comes_out(test, found, who) if {
	_is_made(test, found, who)
	_is_true(test, found, who) == test.holds
}

default _is_true(_, _, _) := false

_is_true(test, found, who) if {
	test.kind == "equal"
	_values(test.left, found, who) == _values(test.right, found, who)
}

_is_true(test, found, who) if {
	test.kind == "any"
	some value in _values(test.right, found, who)
	value in _values(test.left, found, who)
}

# All of nothing is nothing.
_is_true(test, found, who) if {
	test.kind == "all"
	wanted := {value | some value in _values(test.right, found, who)}
	count(wanted) > 0
	wanted - {value | some value in _values(test.left, found, who)} == set()
}

_is_true(test, found, who) if {
	test.kind == "match"
	some value in _values(test.left, found, who)
	regex.match(test.right.source.value, value)
}

_is_made(test, found, who) if {
	every value in [test.left, test.right] {
		_can_be_made(value, found, who)
	}
}

_can_be_made(value, _, _) if {
	every step in value.steps {
		step.kind != "local"
	}
}

_can_be_made(value, found, who) if count(_values(value, found, who)) > 0

_can_be_made(value, found, who) if count(_source(value.source, found, who)) == 0

# What a value is: a list of texts, after at most three functions.
_values(value, found, who) := third if {
	first := templates.apply(_step(value.steps, 0), _source(value.source, found, who))
	second := templates.apply(_step(value.steps, 1), first)
	third := templates.apply(_step(value.steps, 2), second)
}

_step(steps, number) := steps[number] if number < count(steps)

_step(steps, number) := {"kind": "none"} if number >= count(steps)

# A label that is not there is empty, as Teleport has it; a trait that is not there has no values.
_source(source, found, _) := [object.get(found, source.key, "")] if source.kind == "label"

_source(source, _, who) := [value | some value in who.traits[source.key]; is_string(value)] if source.kind == "trait"

_source(source, _, who) := [who.name] if source.kind == "user"

_source(source, _, _) := [source.value] if source.kind == "text"

_source(source, _, _) := source.values if source.kind == "texts"

_source(source, found, _) := [value |
	some key, value in found
	regex.match(labels.expression(source.pattern), key)
] if {
	source.kind == "labels_matching"
}
