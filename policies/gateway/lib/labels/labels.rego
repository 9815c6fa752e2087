# METADATA
# title: Patterns, and the labels they are matched against
# description: |
#   A value is literal with `*` for any string, or `^…$` as RE2. `compile` turns a list of values into a matcher when
#   data is published; `selects` and `matches` use it when a question is asked. Nothing here knows a role.
package gateway.lib.labels

import data.gateway.lib.templates

# A matcher of names as they stand: only the lone `*` is special.
compile_exact(values) := {
	"any": "*" in values,
	"literals": {value: true | some value in values; value != "*"; not templates.is_template(value)},
	"patterns": [],
	"templates": _templates(values),
	"exact": true,
}

# A matcher of patterns.
compile(values) := {
	"any": "*" in values,
	"literals": {value: true | some value in values; _is_literal(value)},
	"patterns": [pattern |
		some value in values
		value != "*"
		not templates.is_template(value)
		not _is_literal(value)
		pattern := expression(value)
		regex.is_valid(pattern)
	],
	"templates": _templates(values),
	"exact": false,
}

_templates(values) := [template |
	some value in values
	templates.is_template(value)
	template := object.union({"text": value}, {"parsed": templates.parse(value)})
]

_is_literal(value) if {
	not contains(value, "*")
	not _is_expression(value)
	not templates.is_template(value)
}

_is_expression(value) if {
	startswith(value, "^")
	endswith(value, "$")
}

# The regular expression that a value stands for. Built from quoted text, never with glob.match: there `*` stops at
# a dot, and `{a,b}` and `[ab]` are live.
expression(value) := value if {
	_is_expression(value)
} else := concat("", ["^(?s:", concat(".*", [_quoted(part) | some part in split(value, "*")]), ")$"])

# METADATA
# title: An expression for all that these values match, and maybe more
# description: Without anchors, to be part of a longer one; what cannot be is anything.
loosely(values) := concat("", ["(?:", concat("|", [_loosely(value) | some value in values]), ")"])

_loosely(value) := concat(".*", [_quoted(part) | some part in split(value, "*")]) if {
	is_string(value)
	not _is_expression(value)
	not templates.is_template(value)
} else := ".*"

_quoted(text) := regex.replace(text, `[\\.+?()|\[\]{}^$]`, `\$0`)

# A selector of labels, compiled: all keys must match, and one without keys selects nothing.
compile_selector(selector) := {
	"all": _selects_all(selector),
	"keys": {key: compile(as_list(value)) | some key, value in selector; not _selects_all(selector)},
}

default _selects_all(_) := false

_selects_all(selector) if as_list(selector["*"]) == ["*"]

# YAML lets one value stand without its list.
as_list(value) := value if is_array(value)

as_list(value) := [value] if is_string(value)

# Whether a compiled selector selects these labels.
selects(selector, _, _) if selector.all == true

selects(selector, labels, traits) if {
	count(selector.keys) > 0
	every key, matcher in selector.keys {
		matches(matcher, labels[key], traits)
	}
}

# Whether a matcher matches a value. A name that is absent is empty, and only `*` matches it exactly.
matches(matcher, _, _) if matcher.any == true

matches(matcher, value, _) if {
	value != ""
	matcher.literals[value] == true
}

matches(matcher, "", _) if {
	matcher.exact == false
	matcher.literals[""] == true
}

matches(matcher, value, _) if {
	some pattern in matcher.patterns
	regex.match(pattern, value)
}

matches(matcher, value, traits) if {
	some template in matcher.templates
	some expanded in templates.expand(template.parsed, traits)
	_matches_expanded(matcher.exact, expanded, value)
}

_matches_expanded(_, "*", _)

_matches_expanded(_, expanded, value) if {
	expanded == value
	value != ""
}

_matches_expanded(false, expanded, value) if {
	contains(expanded, "*")
	regex.match(expression(expanded), value)
}

# The templates of a matcher that yield no value with these traits.
unresolved(matcher, traits) := {template.text |
	some template in matcher.templates
	not _resolves(template, traits)
}

_resolves(template, traits) if count(templates.expand(template.parsed, traits)) > 0

# The values a matcher allows, for a person to read.
readable(matcher, traits) := ({"*" | matcher.any == true} | object.keys(matcher.literals)) | {value |
	some template in matcher.templates
	some value in templates.expand(template.parsed, traits)
}
