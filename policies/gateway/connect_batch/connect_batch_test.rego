package gateway.connect_batch_test

import data.gateway.connect
import data.gateway.connect_batch
import data.gateway.testing_test as t

_roles := {"r": t.role({"allow": {"db_labels": {"*": "*"}, "db_users": ["reader"], "db_names": ["*"]}})}

test_a_batch_says_what_the_single_question_says if {
	pushed := t.pushed(_roles, {"alice": t.user(["r"])}, [])
	good := t.connect(["r"], {})
	bad := t.connect(["r"], {"db_user": "root"})
	answers := connect_batch.answers with data.regate as pushed with input as {
		"contract": 1,
		"time": t.now,
		"items": {
			"a": object.remove(good, ["contract", "time"]),
			"b": object.remove(bad, ["contract", "time"]),
			"c": {}, "d": null,
		},
	}
	yes := connect.decision with input as good with data.regate as pushed
	no := connect.decision with input as bad with data.regate as pushed
	answers.a == yes
	answers.b == no
	answers.c.allow == false
	answers.d.allow == false
}

test_a_batch_of_nothing_answers_nothing if {
	connect_batch.answers == {} with input as {}
}
