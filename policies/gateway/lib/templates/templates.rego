# METADATA
# title: Templates over traits
# description: |
#   `{{internal.x}}` and `{{external.x}}`, alone or inside `email.local` and `regexp.replace`, at most two deep, with
#   fixed text around them. They are parsed when data is published and expanded when a question is asked.
package gateway.lib.templates

# The only traits that may be called internal; any other name yields nothing.
_internal_traits := {
	"aws_role_arns",
	"azure_identities",
	"db_names",
	"db_roles",
	"db_users",
	"gcp_service_accounts",
	"github_orgs",
	"jwt",
	"kubernetes_groups",
	"kubernetes_users",
	"logins",
	"windows_logins",
}

is_template(value) if contains(value, "{{")

is_template(value) if contains(value, "}}")

# The parsed form, or null when the text is not a template that is understood.
parse(value) := {
	"prefix": prefix,
	"suffix": suffix,
	"trait": trait,
	"inner": inner.step,
	"outer": outer.step,
} if {
	[_, prefix, expression, suffix] := _submatch(`^([^{}]*)\{\{\s*([^{}]*?)\s*\}\}([^{}]*)$`, value)
	outer := _step(expression)
	inner := _step(outer.rest)
	trait := _trait(inner.rest)
} else := null

# Every value the template takes with these traits; empty when the trait is missing or a step cannot be done.
expand(template, traits) := [whole |
	some value in apply(template.outer, apply(template.inner, _values(traits, template.trait)))
	value != ""
	whole := concat("", [template.prefix, value, template.suffix])
]

_values(traits, name) := [value | some value in traits[name]; is_string(value)]

# What a function makes of values; each that it cannot do anything with is left out.
apply(step, values) := values if step.kind == "none"

apply(step, values) := [lower(value) | some value in values] if step.kind == "lower"

apply(step, values) := [upper(value) | some value in values] if step.kind == "upper"

apply(step, values) := [replaced |
	some value in values
	regex.match(step.pattern, value)
	replaced := regex.replace(value, step.pattern, step.replacement)
] if {
	step.kind == "replace"
}

# One value that is no address spoils the whole list: what it meant is not known.
apply(step, values) := [split(value, "@")[0] | some value in values] if {
	step.kind == "local"
	_all_addresses(values)
} else := [] if step.kind == "local"

_all_addresses(values) if {
	every value in values {
		regex.match(`^[^@\s<>",;:\\()\[\]]+@[^@\s<>",;:\\()\[\]]+$`, value)
	}
}

_step(expression) := {"step": {"kind": "local"}, "rest": rest} if {
	[_, rest] := _submatch(`^email\.local\(\s*(.*?)\s*\)$`, expression)
} else := {"step": {"kind": "replace", "pattern": pattern, "replacement": replacement}, "rest": rest} if {
	[_, rest, first, second] := _submatch(_replace_call, expression)
	pattern := _text(first)
	replacement := _text(second)
	regex.is_valid(pattern)
} else := {"step": {"kind": "none"}, "rest": expression}

_literal := "(\"(?:[^\"\\\\]|\\\\[\"\\\\/bfnrt])*\"|`[^`]*`)"

_replace_call := concat("", [`^regexp\.replace\(\s*(.*?)\s*,\s*`, _literal, `\s*,\s*`, _literal, `\s*\)$`])

_text(literal) := trim(literal, "`") if startswith(literal, "`")

_text(literal) := json.unmarshal(literal) if startswith(literal, "\"")

_trait(expression) := name if {
	[_, space, name] := _submatch(`^(internal|external)\.([A-Za-z0-9_-]+)$`, expression)
	_may_name(space, name)
} else := name if {
	[_, space, name] := _submatch(`^(internal|external)\["([^"\\]+)"\]$`, expression)
	_may_name(space, name)
}

_may_name("external", _)

_may_name("internal", name) if name in _internal_traits

_submatch(pattern, text) := regex.find_all_string_submatch_n(pattern, text, 1)[0]
