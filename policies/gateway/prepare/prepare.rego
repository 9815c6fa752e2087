# METADATA
# title: What is prepared when data is published
# description: |
#   Turns role and lock documents into the index that decisions read, so that no pattern is taken apart while somebody
#   waits. A field about databases that is not carried out here is never ignored: in what a role allows it stops that
#   role from granting, in its options or denies it refuses whoever has the role.
# scope: subpackages
# schemas:
#   - input: schema["input.prepare"]
package gateway.prepare

import data.gateway.lib.frame
import data.gateway.lib.labels
import data.gateway.lib.obliging
import data.gateway.lib.permissions
import data.gateway.lib.templates

# METADATA
# title: The index
# entrypoint: true
index := {
	"contract": frame.contract,
	"roles": {name: _entry(document) | some name, document in input.roles},
	"locks": [lock | some document in input.locks; lock := _lock(document); count(lock.target) > 0],
	"denying": {name: permissions.reach(selectors) |
		some name, document in input.roles
		count(_list(_part(document, "deny"), "db_permissions")) > 0
		selectors := [_objects(_selector(entry, "match")) | some entry in _entries(document, "deny")]
	},
	"obliging": {name: true |
		some name, document in input.roles
		count(_obligations(document)) > 0
	},
	"guards": _switches,
	"asleep": _asleep,
}

_supported_versions := {"regate/v1", "v7"}

_entry(document) := {
	"grants": count(unsupported_in_allow(document)) == 0,
	"unsupported": sort(unsupported_in_allow(document)),
	"refuses": sort(unsupported_elsewhere(document)),
	"allow": _side(document.version, _part(document, "allow")),
	"deny": _side(document.version, _part(document, "deny")),
	"names_may_be_absent": document.version == "v7",
	"restricted": count(_list(_part(document, "allow"), "db_permissions")) > 0,
	"exact": permissions.exact(allowed),
	"permissions": {
		"allow": allowed,
		"deny": [_permission(entry) | some entry in _entries(document, "deny"); not _is_about_columns(entry)],
	},
	"columns": {
		"allow": [_column_permission(entry) | some entry in _entries(document, "allow"); _is_about_columns(entry)],
		"deny": [_column_permission(entry) | some entry in _entries(document, "deny"); _is_about_columns(entry)],
	},
	"pins_address": object.get(_options(document), "pin_source_ip", false) == true,
	"rules": {
		"allow": [rule | some rule in _rules(document, "allow"); _without_condition(rule)],
		"deny": _rules(document, "deny"),
	},
	"limits": _limits(_options(document)),
	"obligations": _obligations(document),
} if {
	allowed := [_permission(entry) | some entry in _entries(document, "allow"); not _is_about_columns(entry)]
}

_side(version, part) := {
	"labels": labels.compile_selector(_selector(part, "db_labels")),
	"users": _names(version, _strings(part, "db_users")),
	"names": _names(version, _strings(part, "db_names")),
	"names_given": count(_strings(part, "db_names")) > 0,
	"expression": _program(part),
	"selects_by": _selects_by(part),
	"windows": _windows(version, part),
	"networks": _networks(version, part),
}

_names("v7", values) := labels.compile_exact(values)

_names(version, values) := labels.compile(values) if version != "v7"

_permission(entry) := {
	"match": labels.compile_selector(_objects(_selector(entry, "match"))),
	"operations": {upper(name): true | some name in _strings(entry, "permissions")},
}

_rules(document, side) := [shaped |
	some rule in _list(_part(document, side), "rules")
	is_object(rule)
	shaped := {
		"resources": _strings(rule, "resources"),
		"verbs": _strings(rule, "verbs"),
		"where": object.get(rule, "where", ""),
	}
]

# A condition is not evaluated here: an allowing rule with one allows nothing, a denying one denies always.
_without_condition(rule) if rule.where == ""

_part(document, side) := document.spec[side] if is_object(document.spec[side])

else := {}

# Permissions that are none are mistakes, which keep the role from granting; they are left out here.
_entries(document, side) := [entry | some entry in _list(_part(document, side), "db_permissions"); is_object(entry)]

# A selector that is a mistake selects nothing.
_selector(thing, key) := selector if {
	selector := thing[key]
	is_object(selector)
	count(_selector_mistakes("", selector)) == 0
} else := {}

_options(document) := options if {
	options := document.spec.options
	is_object(options)
} else := {}

_list(thing, key) := value if {
	value := thing[key]
	is_array(value)
} else := []

_strings(thing, key) := [value | some value in labels.as_list(thing[key]); is_string(value)] if thing[key]

else := []

# Fields of `allow` and `deny` that are about databases and are carried out.
_carried_out := {"db_labels", "db_labels_expression", "db_names", "db_permissions", "db_users"}

# Those that only our own version has.
_carried_out_here := {"source_networks", "time_windows"}

# About databases by name, and not a condition on any connect.
_no_condition := {"db_service_labels", "db_service_labels_expression"}

_unsupported_fields(document, side) := ({field |
	some name, value in _part(document, side)
	_is_about_databases(document.version, name)
	not name in _carried_out
	not _is_carried_out_here(document.version, name)
	not name in _no_condition
	not _is_blank(value)
	field := concat(".", [side, name])
} | {field |
	some entry in _entries(document, side)
	is_object(entry.match)
	some key, _ in entry.match
	not _is_match_key(document.version, key)
	field := concat(".", [side, "db_permissions.match", key])
}) | {field |
	some entry in _entries(document, side)
	some key, _ in entry
	not key in {"match", "permissions"}
	field := concat(".", [side, "db_permissions", key])
}

_is_carried_out_here("regate/v1", name) if name in _carried_out_here

_is_match_key(_, key) if key in _match_keys

_is_match_key("regate/v1", "columns")

# What an object of a database can be matched by.
_match_keys := {"*", "database", "database_service_name", "name", "object_kind", "protocol", "schema"}

_is_about_databases(_, name) if startswith(name, "db_")

_is_about_databases("regate/v1", name) if not name in {"db_labels", "db_names", "db_permissions", "db_users", "rules"}

# A named set: written into the function's condition, empty collections make OPA 1.17's compiler panic.
_blank := {null, "", false, [], {}}

_is_blank(value) if value in _blank

# METADATA
# title: Fields of what a role allows that are not carried out
unsupported_in_allow(document) := (_unsupported_fields(document, "allow") | _bad_fields(document, "allow")) | {"version" |
	not document.version in _supported_versions
}

# METADATA
# title: Fields of a role's denies and options that are not carried out
unsupported_elsewhere(document) := (_unsupported_fields(document, "deny") | _bad_fields(document, "deny")) | {field |
	some name, value in _options(document)
	not _option_carried_out(name, value)
	not _is_obligation(document, name, value)
	field := concat(".", ["options", name])
}

# Obligations are our own version's.
_is_obligation(document, name, value) if {
	document.version == "regate/v1"
	obliging.kinds[name]
	count(obliging.mistakes(name, value)) == 0
}

_option_carried_out(name, value) if {
	name in {"client_idle_timeout", "max_session_ttl"}
	is_number(_seconds(value))
}

_option_carried_out("max_db_connections", value) if {
	is_number(value)
	value >= 0
}

_option_carried_out("pin_source_ip", value) if value in {null, "", false, true}

_option_carried_out(name, value) if {
	name in _options_without_effect_when_off
	value in {null, "", false, "no", "off", "optional"}
}

_option_carried_out(name, _) if name in _options_elsewhere

# Options that would narrow or change database access; asked for, they are not carried out.
_options_without_effect_when_off := {
	"create_db_user",
	"create_db_user_mode",
	"device_trust_mode",
	"require_session_mfa",
}

# Options that bear on other kinds of resources, or that hold anyway: the end of the login always ends a session,
# and locks are always strict.
_options_elsewhere := {
	"cert_extensions",
	"cert_format",
	"create_desktop_user",
	"create_host_user",
	"create_host_user_default_shell",
	"create_host_user_mode",
	"desktop_clipboard",
	"desktop_directory_sharing",
	"disconnect_expired_cert",
	"enhanced_recording",
	"forward_agent",
	"idp",
	"lock",
	"max_connections",
	"max_kubernetes_connections",
	"max_sessions",
	"mfa_verification_interval",
	"permit_x11_forwarding",
	"port_forwarding",
	"record_session",
	"request_access",
	"request_prompt",
	"ssh_file_copy",
	"ssh_port_forwarding",
}

_obligations(document) := obliging.compiled(_options(document)) if document.version == "regate/v1"

else := []

_limits(options) := {limit: bound |
	some limit, option in {
		"idle_seconds": "client_idle_timeout",
		"max_connections": "max_db_connections",
		"max_session_seconds": "max_session_ttl",
	}
	bound := _bound(limit, options[option])
	bound > 0
}

_bound("max_connections", value) := value

_bound(limit, value) := _seconds(value) if limit != "max_connections"

# Each unit once and of few digits: beyond 292 years OPA cannot read a duration.
_duration := concat("", [
	`^([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,7}(\.[0-9]{1,9})?m)?([0-9]{1,8}(\.[0-9]{1,9})?s)?`,
	`([0-9]{1,9}ms)?([0-9]{1,9}us)?([0-9]{1,9}ns)?$`,
])

# Whole seconds of a duration such as `8h0m0s`; zero and `never` are no bound.
_seconds(value) := ceil(time.parse_duration_ns(value) / 1000000000) if {
	is_string(value)
	value != ""
	regex.match(_duration, value)
}

_seconds("never") := 0

_seconds("") := 0

_seconds("0") := 0

_seconds(0) := 0

# What a lock may name; a lock that names none of these is about something that is not here.
_lock_fields := {"agent", "database", "db_name", "db_user", "role", "user"}

_lock(document) := object.union(
	{
		"target": object.filter(document.spec.target, _lock_fields),
		"message": _message(document.spec),
	},
	_expiry(document.spec),
) if {
	is_object(document.spec.target)
}

_message(spec) := spec.message if is_string(spec.message)

else := ""

# An end that lies beyond what fits in 64 bits of nanoseconds is none.
_expiry(spec) := {"expires_ns": time.parse_rfc3339_ns(spec.expires)} if {
	_is_time(spec.expires)
	substring(spec.expires, 0, 4) <= "2261"
} else := {}

# A selector, name or permission that cannot be what it should be.
_bad_fields(document, side) := {mistake.path | some mistake in _mistakes(document, side)}

_mistakes(document, side) := union({
	_selector_mistakes(concat(".", [side, "db_labels"]), object.get(_part(document, side), "db_labels", {})),
	_name_mistakes(document, side),
	_permission_mistakes(document, side),
	_expression_mistakes(document, side),
	_condition_mistakes(document, side),
})

_selector_mistakes(path, selector) := {{"path": path, "message": "a map from label to values is expected"} |
	not is_object(selector)
	not is_null(selector)
} | ({mistake |
	is_object(selector)
	some key, values in selector
	some message in _value_mistakes(values)
	mistake := {"path": concat(".", [path, key]), "message": message}
} | {{"path": concat(".", [path, "*"]), "message": "* as a label goes only with the value *"} |
	is_object(selector)
	"*" in object.keys(selector)
	not labels.as_list(selector["*"]) == ["*"]
})

_name_mistakes(document, side) := {mistake |
	some field in ["db_users", "db_names"]
	values := _part(document, side)[field]
	not is_null(values)
	some message in _value_mistakes(values)
	mistake := {"path": concat(".", [side, field]), "message": message}
}

_permission_mistakes(document, side) := {mistake |
	some index, entry in _list(_part(document, side), "db_permissions")
	path := sprintf("%s.db_permissions[%d].match", [side, index])
	some mistake in _selector_mistakes(path, entry.match)
} | ({{"path": concat(".", [side, "db_permissions"]), "message": "a list is expected"} |
	value := _part(document, side).db_permissions
	not is_array(value)
	not is_null(value)
} | {{"path": path, "message": "match and a list of permissions are expected"} |
	some index, entry in _list(_part(document, side), "db_permissions")
	not _is_permission(entry)
	path := sprintf("%s.db_permissions[%d]", [side, index])
})

_is_permission(entry) if {
	is_object(entry)
	_are_strings(object.get(entry, "permissions", []))
}

# What is wrong with the values of one selector key or one list of names.
_value_mistakes(values) := {"a string or a list of strings is expected"} if {
	not _are_strings(values)
} else := {message |
	some value in labels.as_list(values)
	message := _value_mistake(value)
}

_are_strings(values) if {
	every value in labels.as_list(values) {
		is_string(value)
	}
}

_value_mistake(value) := sprintf("%q is not a regular expression", [value]) if {
	not templates.is_template(value)
	not regex.is_valid(labels.expression(value))
}

_value_mistake(value) := sprintf("%q is not a template that is understood", [value]) if {
	templates.is_template(value)
	is_null(templates.parse(value))
}

# METADATA
# title: What is wrong with a document, before it is stored
# description: Errors keep it from being stored; warnings name fields that are not carried out.
# entrypoint: true
problems := array.concat(
	sort({problem | some problem in _errors(input.document)}),
	sort({problem | some problem in _warnings(input.document)}),
)

_errors(document) := {problem |
	document.kind == "guard"
	some mistake in _guard_mistakes(document)
	problem := {"severity": "error", "path": mistake.path, "message": mistake.message}
} | ({problem |
	document.kind == "role"
	some side in ["allow", "deny"]
	some mistake in _mistakes(document, side)
	problem := {"severity": "error", "path": concat(".", ["spec", mistake.path]), "message": mistake.message}
} | ((({problem |
	document.kind == "role"
	some field in ["client_idle_timeout", "max_session_ttl"]
	value := _options(document)[field]
	not _option_carried_out(field, value)
	problem := {
		"severity": "error",
		"path": concat(".", ["spec.options", field]),
		"message": "a duration such as 8h0m0s is expected",
	}
} | {problem |
	document.kind == "role"
	document.version == "regate/v1"
	some name, value in _options(document)
	some message in obliging.mistakes(name, value)
	problem := {"severity": "error", "path": concat(".", ["spec.options", name]), "message": message}
}) | {problem |
	document.kind == "lock"
	value := document.spec.expires
	not _is_time(value)
	problem := {"severity": "error", "path": "spec.expires", "message": "a time such as 2026-01-31T12:00:00Z is expected"}
}) | {problem |
	document.kind == "lock"
	not _names_something(document)
	message := concat(" ", ["one or more of", concat(", ", _lock_fields), "are expected"])
	problem := {"severity": "error", "path": "spec.target", "message": message}
}))

_names_something(lock) if {
	some field, _ in lock.spec.target
	field in _lock_fields
}

_warnings(document) := {problem |
	document.kind == "role"
	some field in ((_unsupported_fields(document, "allow") | unsupported_elsewhere(document)) - _bad_fields(document, "deny"))
	problem := {
		"severity": "warning",
		"path": concat(".", ["spec", field]),
		"message": "not carried out by this version: connects that depend on it are refused",
	}
}

# OPA refuses a time that no calendar has, and then the whole index: what it cannot read must not reach it.
_is_time(value) if {
	is_string(value)
	regex.match(_moment, value)
	substring(value, 0, 4) >= "1970"
	_is_day(substring(value, 5, 5), substring(value, 0, 4))
}

_moment := `^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`

_is_day(day, _) if regex.match(`^(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$`, day)

_is_day(day, _) if regex.match(`^((0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)$`, day)

_is_day("02-29", year) if {
	regex.match(`([02468][048]|[13579][26])$`, year)
	not year in {"2100", "2200"}
}
