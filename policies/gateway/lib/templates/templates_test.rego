package gateway.lib.templates_test

import data.gateway.lib.templates

_expand(text, traits) := templates.expand(templates.parse(text), traits)

_traits := {
	"x": ["a", "b"],
	"email": ["Ada Lovelace <ada@x>", "ada@x"],
	"mail": ["ada@example.com", "bob@example.org"],
	"groups": ["team-red", "other", "team-"],
	"my key": ["v"],
	"logins": ["root"],
	"empty": [],
	"odd": [1, "one"],
}

test_templates_expand if {
	every case in [
		["{{external.x}}", ["a", "b"]],
		["{{ external.x }}", ["a", "b"]],
		["pre-{{external.x}}-post", ["pre-a-post", "pre-b-post"]],
		["{{external[\"my key\"]}}", ["v"]],
		["{{internal.logins}}", ["root"]],
		["{{internal[\"logins\"]}}", ["root"]],
		["{{external.missing}}", []],
		["{{external.empty}}", []],
		["{{external.odd}}", ["one"]],
		["{{email.local(external.mail)}}", ["ada", "bob"]],
		["{{email.local(external.email)}}", []],
		["{{regexp.replace(external.groups, \"^team-(.*)$\", \"$1\")}}", ["red"]],
		["{{regexp.replace(external.groups, `^team-(\\w+)$`, `db_$1`)}}", ["db_red"]],
		["{{regexp.replace(email.local(external.mail), \"a\", \"o\")}}", ["odo"]],
		["{{email.local(regexp.replace(external.mail, \"org\", \"net\"))}}", ["bob"]],
	] {
		_expand(case[0], _traits) == case[1]
	}
}

test_what_is_not_a_template_is_told if {
	every text in [
		"{{external}}", "{{external.}}", "{{other.x}}", "{{internal.unheard_of}}", "{{internal[\"unheard\"]}}",
		"{{external.x}}{{external.x}}", "{external.x}", "{{external.x", "{{}}", "{{lower(external.x)}}",
		"{{regexp.replace(external.x, \"(\", \"\")}}", "{{regexp.replace(external.x, \"a\")}}",
		"{{email.local(email.local(email.local(external.x)))}}",
	] {
		templates.parse(text) == null
	}
	not templates.is_template("plain")
	templates.is_template("a}}")
}
