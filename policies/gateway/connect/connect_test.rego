package gateway.connect_test

import data.gateway.connect
import data.gateway.testing_test as t

_wide := {"allow": {"db_labels": {"*": "*"}, "db_names": ["*"], "db_users": ["*"]}, "deny": {}}

_allow(change) := {"allow": object.union(object.remove(_wide.allow, object.keys(change)), change), "deny": {}}

_deny(part) := {"allow": {}, "deny": part}

# The decision about alice, who has these roles, in a case that differs so from the usual one.
_decide(roles, change) := decision if {
	decision := connect.decision with input as t.connect(object.keys(roles), change)
		with data.regate as t.pushed(roles, {"alice": t.user(object.keys(roles))}, [])
}

_allowed(roles, change) if _decide(roles, change).allow == true

_code(roles, change) := _decide(roles, change).reasons[0].code if _decide(roles, change).allow == false

test_nothing_is_refused if {
	every nothing in [{}, {"contract": 1}, null, [], "x"] {
		decision := connect.decision with input as nothing
		decision.allow == false
		count(decision.reasons) > 0
	}
}

# One role and one change of the question each: what v7 grants.
_granted := [
	[_wide, {}],
	[_allow({"db_labels": {"env": "dev"}}), {}],
	[_allow({"db_labels": {"env": ["prod", "dev"]}}), {}],
	[_allow({"db_labels": {"env": "d*"}}), {}],
	[_allow({"db_labels": {"env": "^d.v$"}}), {}],
	[_allow({"db_labels": {"env": "*"}}), {}],
	[_allow({"db_labels": {"env": "dev", "team": "platform"}}), {}],
	[_allow({"db_labels": {"*": ["*"], "env": "prod"}}), {}],
	[_allow({"db_labels": {"*": "*"}}), {"database": {"labels": {}}}],
	[_allow({"db_users": ["reader"]}), {}],
	[_allow({"db_users": "reader"}), {}],
	[_allow({"db_names": ["other", "app"]}), {}],
	[_allow({"db_names": []}), {"database": {"protocol": "mysql"}}],
	[_allow({"db_names": []}), {"database": {"protocol": "redis"}, "db_name": ""}],
	[_allow({"db_names": ["app"]}), {"database": {"protocol": "redis"}, "db_name": ""}],
	[_wide, {"db_name": ""}],
]

test_what_a_v7_role_grants if {
	every case in _granted {
		_allowed({"r": t.role(case[0])}, case[1])
	}
}

# The same with the reason why not.
_refused := [
	[_allow({"db_labels": {"env": "prod"}}), {}, "database_not_found"],
	[_allow({"db_labels": {"env": "de"}}), {}, "database_not_found"],
	[_allow({"db_labels": {"env": "de?"}}), {}, "database_not_found"],
	[_allow({"db_labels": {"env": "{dev,prod}"}}), {}, "database_not_found"],
	[_allow({"db_labels": {"env": "[d]ev"}}), {}, "database_not_found"],
	[_allow({"db_labels": {"env": "DEV"}}), {}, "database_not_found"],
	[_allow({"db_labels": {"env": "dev", "region": "*"}}), {}, "database_not_found"],
	[_allow({"db_labels": {"region": "*"}}), {}, "database_not_found"],
	[_allow({"db_labels": {"env": []}}), {}, "database_not_found"],
	[_allow({"db_labels": {"env": "("}}), {}, "database_not_found"],
	[{"allow": {"db_names": ["*"], "db_users": ["*"]}}, {}, "database_not_found"],
	[{"allow": null, "deny": null}, {}, "database_not_found"],
	[{}, {}, "database_not_found"],
	[_allow({"db_users": ["writer"]}), {}, "db_user_not_granted"],
	[_allow({"db_users": ["read*"]}), {}, "db_user_not_granted"],
	[_allow({"db_users": ["^reader$"]}), {}, "db_user_not_granted"],
	[_allow({"db_users": ["Reader"]}), {}, "db_user_not_granted"],
	[_allow({"db_users": []}), {}, "db_user_not_granted"],
	[_allow({"db_users": [""]}), {"db_user": ""}, "db_user_not_granted"],
	[_allow({"db_names": ["ap*"]}), {}, "db_name_not_granted"],
	[_allow({"db_names": []}), {}, "db_name_not_granted"],
	[_allow({"db_names": ["app"]}), {"database": {"protocol": "mysql"}, "db_name": "other"}, "db_name_not_granted"],
	[_allow({"db_names": ["", "app"]}), {"db_name": ""}, "db_name_not_granted"],
]

test_what_a_v7_role_does_not_grant if {
	every case in _refused {
		_code({"r": t.role(case[0])}, case[1]) == case[2]
	}
}

test_one_role_must_grant_all_of_it if {
	roles := {
		"a": t.role(_allow({"db_users": ["reader"], "db_names": ["x"]})),
		"b": t.role(_allow({"db_users": ["x"], "db_names": ["app"]})),
	}
	decision := _decide(roles, {})
	decision.allow == false
	t.codes(decision) == ["db_user_not_granted", "db_name_not_granted"]
	[role | role := decision.reasons[_].role] == ["b", "a"]
}

_denials := [
	[{"db_labels": {"env": "dev"}}, "database_not_found"],
	[{"db_labels": {"*": "*"}}, "database_not_found"],
	[{"db_users": ["reader"]}, "denied_by_role"],
	[{"db_users": ["*"]}, "denied_by_role"],
	[{"db_names": ["app"]}, "denied_by_role"],
	[{"db_labels": {"env": "prod"}, "db_users": ["reader"]}, "denied_by_role"],
	[{"db_users": ["{{external.missing}}"]}, "template_unresolved"],
	[{"db_names": ["{{external.missing}}"]}, "template_unresolved"],
	[{"db_users": ["{{nonsense}}"]}, "option_unsupported"],
	[{"db_labels": {"env": "{{external.missing}}"}}, "template_unresolved"],
	[{"db_labels": {"env": "^(dev$"}}, "option_unsupported"],
	[{"db_labels": {"*": "dev"}}, "option_unsupported"],
	[{"db_labels_expression": "labels.env == \"dev\""}, "option_unsupported"],
	[{"db_labels": "dev"}, "option_unsupported"],
	[{"db_users": [1]}, "option_unsupported"],
]

test_any_part_of_any_deny_refuses if {
	every case in _denials {
		_code({"wide": t.role(_wide), "deny": t.role(_deny(case[0]))}, {}) == case[1]
	}
}

test_a_deny_about_something_else_lets_through if {
	every part in [{"db_labels": {"env": "prod"}}, {"db_users": ["root"]}, {"db_names": ["secret"]}, {"db_labels": {}}, {}] {
		_allowed({"wide": t.role(_wide), "deny": t.role(_deny(part))}, {})
	}
}

_with_traits(spec, traits) := decision if {
	decision := connect.decision with input as t.connect(["r"], {})
		with data.regate as t.pushed({"r": t.role(spec)}, {"alice": {"roles": ["r"], "traits": traits}}, [])
}

test_templates_expand_from_the_traits_of_today if {
	_with_traits(_allow({"db_users": ["{{internal.db_users}}"]}), {"db_users": ["x", "reader"]}).allow
	_with_traits(_allow({"db_users": ["{{internal.db_users}}"]}), {"db_users": ["*"]}).allow
	_with_traits(_allow({"db_users": ["{{email.local(external.email)}}"]}), {"email": ["reader@example.com"]}).allow
	_with_traits(_allow({"db_users": ["{{ regexp.replace(external.x, \"^db-(.*)$\", \"$1\") }}"]}), {"x": ["y", "db-reader"]}).allow
	_with_traits(_allow({"db_names": ["a{{external.x}}p"]}), {"x": ["p"]}).allow
	_with_traits(_allow({"db_labels": {"team": "{{external.team}}"}}), {"team": ["plat*"]}).allow
	_with_traits(_allow({"db_labels": {"team": "{{external.team}}"}}), {"team": ["*"]}).allow
	not _with_traits(_allow({"db_labels": {"team": "{{external.team}}"}}), {"team": ["other"]}).allow
	not _with_traits(_allow({"db_users": ["{{internal.db_users}}"]}), {}).allow
	not _with_traits(_allow({"db_users": ["{{internal.unheard_of}}"]}), {"unheard_of": ["reader"]}).allow
	not _with_traits(_deny({"db_users": ["{{internal.db_users}}"]}), {"db_users": ["reader"]}).allow
}

test_the_certificate_caps_and_the_store_decides if {
	roles := {"wide": t.role(_wide), "none": t.role({})}
	users := {"alice": t.user(["wide"]), "bob": t.user(["none"])}
	data_now := t.pushed(roles, users, [])

	# A role that the certificate does not carry.
	decision := connect.decision with input as t.connect(["none"], {}) with data.regate as data_now
	t.codes(decision) == ["database_not_found"]

	# A role that the user does not have any more.
	for_bob := connect.decision with input as t.connect(["wide", "none"], {"identity": {"user": "bob"}})
		with data.regate as data_now
	t.codes(for_bob) == ["database_not_found"]

	# A user who is gone.
	for_nobody := connect.decision with input as t.connect(["wide"], {"identity": {"user": "eve"}})
		with data.regate as data_now
	t.codes(for_nobody) == ["user_unknown"]
}

test_a_deny_counts_though_the_certificate_leaves_its_role_out if {
	roles := {"wide": t.role(_wide), "deny": t.role(_deny({"db_users": ["reader"]}))}
	decision := connect.decision with input as t.connect(["wide"], {})
		with data.regate as t.pushed(roles, {"alice": t.user(["wide", "deny"])}, [])
	t.codes(decision) == ["denied_by_role"]
}

test_a_role_that_is_not_there_refuses if {
	decision := connect.decision with input as t.connect(["wide"], {})
		with data.regate as t.pushed({"wide": t.role(_wide)}, {"alice": t.user(["wide", "gone"])}, [])
	t.codes(decision) == ["role_missing"]
}

test_a_user_may_have_no_traits if {
	roles := {"r": t.role(_allow({"db_users": ["{{internal.db_users}}", "reader"]}))}
	decision := connect.decision with input as t.connect(["r"], {})
		with data.regate as t.pushed(roles, {"alice": {"roles": ["r"]}}, [])
	decision.allow
}

test_no_data_no_yes if {
	decision := connect.decision with input as t.connect(["wide"], {}) with data.regate as {}
	t.codes(decision) == ["user_unknown"]
}

test_a_login_that_ended_refuses if {
	_code({"r": t.role(_wide)}, {"identity": {"login_expires_ns": t.now}}) == "login_expired"
}

test_a_locked_or_expired_user_is_refused if {
	roles := {"r": t.role(_wide)}
	locked := connect.decision with input as t.connect(["r"], {})
		with data.regate as t.pushed(roles, {"alice": {"roles": ["r"], "traits": {}, "locked": true}}, [])
	t.codes(locked) == ["user_locked"]
	expired := connect.decision with input as t.connect(["r"], {})
		with data.regate as t.pushed(roles, {"alice": {"roles": ["r"], "traits": {}, "expires_ns": t.now}}, [])
	t.codes(expired) == ["user_unknown"]
}

_with_lock(spec, change) := decision if {
	decision := connect.decision with input as t.connect(["r"], change)
		with data.regate as t.pushed({"r": t.role(_wide)}, {"alice": t.user(["r"])}, [{"kind": "lock", "spec": spec}])
}

test_locks_refuse_what_they_name if {
	every target in [
		{"user": "alice"},
		{"role": "r"},
		{"user": "alice", "role": "r"},
		{"database": "orders-db"},
		{"db_user": "reader"},
		{"db_name": "app"},
		{"user": "alice", "database": "orders-db"},
		{"user": "alice", "mfa_device": "x"},
	] {
		decision := _with_lock({"target": target, "message": "audit"}, {})
		decision.allow == false
		decision.reasons == [{"code": "locked", "message": "a lock is in force: audit"}]
	}
	_with_lock({"target": {"user": "alice"}}, {}).reasons == [{"code": "locked", "message": "a lock is in force"}]
}

test_locks_leave_others_alone if {
	every target in [{"user": "bob"}, {"role": "x"}, {"user": "alice", "role": "x"}, {"database": "x"}, {"user": "bob", "database": "orders-db"}] {
		_with_lock({"target": target}, {}).allow == true
	}
	_with_lock({"target": {"user": "alice"}, "expires": "2026-01-01T00:00:00Z"}, {}).allow == true
	_with_lock({"target": {"database": "orders-db"}, "expires": "2026-01-01T00:00:00Z"}, {}).allow == true
	_with_lock({"target": {"user": "alice"}, "expires": "2126-01-01T00:00:00Z"}, {}).allow == false
}

test_a_lock_about_nothing_known_hits_nobody_in_particular if {
	# It names only what is not here; read as a lock on everyone, one foreign lock would stop the gateway.
	_with_lock({"target": {"mfa_device": "x"}}, {}).allow == true
}

test_an_unknown_database_is_answered_like_one_out_of_view if {
	roles := {"r": t.role(_allow({"db_labels": {"env": "prod"}}))}
	unknown := connect.decision with input as object.remove(t.connect(["r"], {}), ["database"])
		with data.regate as t.pushed(roles, {"alice": t.user(["r"])}, [])
	unknown == _decide(roles, {})
}

test_options_the_strictest_wins if {
	roles := {
		"a": t.role(object.union(_wide, {"options": {"max_session_ttl": "8h30m", "client_idle_timeout": "1h"}})),
		"b": t.role({"options": {"max_session_ttl": "30h", "client_idle_timeout": "90.5s", "max_db_connections": 3}}),
		"c": t.role({"options": {"client_idle_timeout": "never", "max_session_ttl": "0", "lock": "strict"}}),
		"d": t.role({"options": {"client_idle_timeout": "", "max_session_ttl": 0, "max_db_connections": 0}}),
	}
	_decide(roles, {}).limits == {"max_session_seconds": 30600, "idle_seconds": 91, "max_connections": 3}
}

test_connections_are_counted if {
	roles := {"a": t.role(object.union(_wide, {"options": {"max_db_connections": 3}}))}
	_allowed(roles, {"active_connections": 2})
	_code(roles, {"active_connections": 3}) == "too_many_connections"
}

_unsupported_options := [
	{"require_session_mfa": true},
	{"require_session_mfa": "hardware_key"},
	{"pin_source_ip": "yes"},
	{"device_trust_mode": "required"},
	{"create_db_user": true},
	{"create_db_user_mode": "keep"},
	{"max_session_ttl": "soon"},
	{"max_session_ttl": 5},
	{"client_idle_timeout": "1 hour"},
	{"max_db_connections": "many"},
	{"unheard_of": 1},
]

test_an_option_that_is_not_carried_out_refuses if {
	every options in _unsupported_options {
		_code({"r": t.role(_wide), "o": t.role({"options": options})}, {}) == "option_unsupported"
	}
}

# Monday noon in Berlin, which is when all of these are asked.
_monday := time.parse_rfc3339_ns("2026-01-05T11:00:00Z")

_at(change) := object.union({"time": _monday, "identity": {"login_expires_ns": _monday + 1}}, change)

_hours := {"time_windows": [{"days": ["mon"], "from": "08:00", "to": "18:00", "zone": "Europe/Berlin"}]}

_weekend := {"time_windows": [{"days": ["sat", "sun"]}]}

_office := {"source_networks": ["10.0.0.0/8"]}

_conditions := [
	[_hours, {}, {}, "allowed"],
	[_weekend, {}, {}, "outside_hours"],
	[{"time_windows": null}, {}, {}, "allowed"],
	[{}, _hours, {}, "denied_by_role"],
	[{}, _weekend, {}, "allowed"],
	[_office, {}, {"client_address": "10.1.2.3"}, "allowed"],
	[_office, {}, {}, "network_not_granted"],
	[_office, {}, {"client_address": "local"}, "network_not_granted"],
	[{}, _office, {"client_address": "10.1.2.3"}, "denied_by_role"],
	[{}, _office, {}, "allowed"],
	[{}, _office, {"client_address": "local"}, "denied_by_role"],
	[object.union(_hours, _office), {}, {"client_address": "10.1.2.3"}, "allowed"],
	[object.union(_weekend, _office), {}, {}, "outside_hours"],
	[{"time_windows": [{"zone": "Mars/Olympus"}]}, {}, {}, "database_not_found"],
	[{"source_networks": ["office"]}, {}, {}, "database_not_found"],
	[{}, {"time_windows": [{"from": "late"}]}, {}, "option_unsupported"],
	[{}, {"source_networks": ["office"]}, {}, "option_unsupported"],
]

test_our_own_version_has_hours_and_networks if {
	every case in _conditions {
		role := t.own({"allow": object.union(_wide.allow, case[0]), "deny": case[1]})
		decision := _decide({"r": role}, _at(case[2]))
		_told(decision) == case[3]
	}
}

_told(decision) := "allowed" if decision.allow == true

_told(decision) := decision.reasons[0].code if decision.allow == false

test_v7_has_no_hours_and_no_networks if {
	every part in [_hours, _office] {
		_allowed({"r": t.role({"allow": object.union(_wide.allow, part)})}, {})
	}
}

test_a_pinned_login_stays_where_it_was if {
	roles := {"r": t.role(_wide), "p": t.role({"options": {"pin_source_ip": true}})}
	from := {"user": "alice", "roles": ["p", "r"], "login_expires_ns": t.now + 1}
	at := object.union(from, {"login_address": "127.0.0.1"})
	_allowed(roles, {"identity": at})
	_code(roles, {"identity": at, "client_address": "127.0.0.2"}) == "source_address_pinned"
	_code(roles, {"identity": from}) == "source_address_pinned"
	_code(roles, {"identity": object.union(from, {"login_address": ""}), "client_address": ""}) == "source_address_pinned"
	_allowed({"r": t.role(object.union(_wide, {"options": {"pin_source_ip": false}}))}, {"client_address": "192.0.2.1"})
}

test_an_option_that_is_off_or_about_others_does_not if {
	every options in [{"require_session_mfa": false}, {"create_db_user_mode": "off"}, {"forward_agent": true}, {"cert_format": "standard"}, null, {}] {
		_allowed({"r": t.role(_wide), "o": t.role({"options": options})}, {})
	}
}

test_a_field_that_is_not_carried_out_stops_its_role_only if {
	expression := t.role(_allow({"db_labels_expression": "true"}))
	_code({"r": expression}, {}) == "database_not_found"
	_allowed({"r": expression, "wide": t.role(_wide)}, {})
	reasons := _decide({"r": t.role(_allow({"db_roles": ["x"]})), "s": t.role(_allow({"db_users": ["x"]}))}, {}).reasons
	[reason.code | some reason in reasons] == ["db_user_not_granted", "option_unsupported"]
	_allowed({"r": t.role(_allow({"db_service_labels": {"*": "*"}, "db_roles": [], "db_labels_expression": "", "logins": ["root"]}))}, {})
	_code({"r": object.union(t.role(_wide), {"version": "v5"})}, {}) == "database_not_found"
	_code({"r": object.remove(t.role(_wide), ["version"])}, {}) == "role_missing"
}

test_our_own_version_has_patterns_and_needs_names if {
	_allowed({"r": t.own(_allow({"db_users": ["read*"], "db_names": ["^a.p$"]}))}, {})
	_code({"r": t.own(_allow({"db_names": []}))}, {"database": {"protocol": "mysql"}}) == "db_name_not_granted"
	_code({"r": t.own(_allow({"unheard_of": ["x"]}))}, {}) == "database_not_found"
	_allowed({"r": t.own(_allow({"rules": []}))}, {})
	_code({"r": t.own(_allow({"db_names": [""]}))}, {"db_name": "x"}) == "db_name_not_granted"
	_allowed({"r": t.own(_allow({"db_names": [""]}))}, {"db_name": ""})
	_code({"w": t.own(_wide), "r": t.own(_deny({"db_users": ["read*"]}))}, {}) == "denied_by_role"
}

test_whether_statements_are_restricted if {
	permission := [{"match": {"object_kind": "table"}, "permissions": ["SELECT"]}]
	_decide({"r": t.role(_wide)}, {}).restricted == false
	_decide({"r": t.role(_allow({"db_permissions": permission}))}, {}).restricted == true
	_decide({"r": t.role(_allow({"db_permissions": permission})), "w": t.role(_wide)}, {}).restricted == false
	_decide({"r": t.role(_wide), "d": t.role(_deny({"db_permissions": permission}))}, {}).restricted == true
	guarded := connect.decision with input as t.connect(["r"], {})
		with data.regate as t.awake(t.pushed({"r": t.role(_wide)}, {"alice": t.user(["r"])}, []))
		with data.gateway.guards as {"schema": {"no-drop": {"deny": []}}}
	guarded.restricted == true
}

test_every_refusal_names_its_revisions if {
	decision := _decide({"r": t.role({})}, {}) with data.gateway.bundle as {"revision": "4-abc", "number": 4}
	decision.data_revision == 7
	decision.policy_revision == "4-abc"
}
