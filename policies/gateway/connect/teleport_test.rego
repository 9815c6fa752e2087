package gateway.connect_test

import data.gateway.connect
import data.gateway.testing_test as t

# What Teleport documents about roles and databases, one row each: the allowing and the denying part of the role, the
# labels of the database, the user's traits, and whether `reader` may open `app` there.
_documented := [
	["the two keys of a selector are both needed", {"db_labels": {"env": "dev", "team": "red"}}, {}, {"env": "dev"}, {}, false],
	["the values of one key are alternatives", {"db_labels": {"env": ["dev", "prod"]}}, {}, {"env": "prod"}, {}, true],
	["a label that is not selected does not matter", {"db_labels": {"env": "dev"}}, {}, {"env": "dev", "x": "y"}, {}, true],
	["the star selects databases without labels", {"db_labels": {"*": "*"}}, {}, {}, {}, true],
	["a star as a value wants the label", {"db_labels": {"env": "*"}}, {}, {}, {}, false],
	["a star inside a value is any text", {"db_labels": {"env": "us-*-1"}}, {}, {"env": "us-west.2-1"}, {}, true],
	["a question mark is itself", {"db_labels": {"env": "de?"}}, {}, {"env": "dev"}, {}, false],
	["a question mark is itself, met", {"db_labels": {"env": "de?"}}, {}, {"env": "de?"}, {}, true],
	["braces are themselves", {"db_labels": {"env": "{dev,prod}"}}, {}, {"env": "dev"}, {}, false],
	["square brackets are themselves", {"db_labels": {"env": "[d]ev"}}, {}, {"env": "dev"}, {}, false],
	["a dot is itself", {"db_labels": {"env": "d.v"}}, {}, {"env": "dev"}, {}, false],
	["a regular expression is whole", {"db_labels": {"env": "^dev|prod$"}}, {}, {"env": "prod"}, {}, true],
	["half an expression is a text", {"db_labels": {"env": "^dev"}}, {}, {"env": "dev"}, {}, false],
	["case counts", {"db_labels": {"env": "Dev"}}, {}, {"env": "dev"}, {}, false],
	["an empty selector selects nothing", {"db_labels": {}}, {}, {"env": "dev"}, {}, false],
	["no selector selects nothing", {}, {}, {"env": "dev"}, {}, false],
	["an empty list of values selects nothing", {"db_labels": {"env": []}}, {}, {"env": "dev"}, {}, false],
	["a name is no pattern", {"db_labels": {"*": "*"}, "db_users": ["read*"]}, {}, {}, {}, false],
	["a template gives each value of the trait", {"db_labels": {"*": "*"}, "db_users": ["{{internal.db_users}}"]}, {}, {}, {"db_users": ["x", "reader"]}, true],
	["a trait that is missing gives none", {"db_labels": {"*": "*"}, "db_users": ["{{internal.db_users}}"]}, {}, {}, {}, false],
	["a template in a label", {"db_labels": {"env": "{{external.env}}"}}, {}, {"env": "dev"}, {"env": ["dev"]}, true],
	["a function of a trait", {"db_labels": {"*": "*"}, "db_users": ["{{email.local(external.mail)}}"]}, {}, {}, {"mail": ["reader@x.org"]}, true],
	["a deny by label wins", {"db_labels": {"*": "*"}}, {"db_labels": {"env": "dev"}}, {"env": "dev"}, {}, false],
	["a deny by another label does not", {"db_labels": {"*": "*"}}, {"db_labels": {"env": "prod"}}, {"env": "dev"}, {}, true],
	["one key of a deny is not enough", {"db_labels": {"*": "*"}}, {"db_labels": {"env": "dev", "team": "red"}}, {"env": "dev"}, {}, true],
	["a deny by user alone wins", {"db_labels": {"*": "*"}}, {"db_users": ["reader"]}, {}, {}, false],
	["a deny by name alone wins", {"db_labels": {"*": "*"}}, {"db_names": ["app"]}, {}, {}, false],
	["a deny of everything wins", {"db_labels": {"*": "*"}}, {"db_labels": {"*": "*"}}, {}, {}, false],
	["a deny of somebody else does not", {"db_labels": {"*": "*"}}, {"db_users": ["root"]}, {}, {}, true],
	["no name matches nothing", {"db_labels": {"*": "*"}, "db_names": []}, {}, {}, {}, false],
]

test_documented_cases_of_teleport_come_out_the_same if {
	every case in _documented {
		[name, allow, deny, labels, traits, may] := case
		names := {"db_users": ["reader"], "db_names": ["app"]}
		role := t.role({"allow": object.union(object.remove(names, object.keys(allow)), allow), "deny": deny})
		decision := _connect_as(role, labels, traits)
		[name, decision.allow] == [name, may]
	}
}

_connect_as(role, labels, traits) := decision if {
	database := {"database": {"name": "d", "protocol": "postgres", "labels": labels}}
	decision := connect.decision with input as object.union(object.remove(t.connect(["r"], {}), ["database"]), database)
		with data.regate as t.pushed({"r": role}, {"alice": {"roles": ["r"], "traits": traits}}, [])
}
