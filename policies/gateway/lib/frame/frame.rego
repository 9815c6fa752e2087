# METADATA
# title: What stands in every answer
# description: The contract's number and the two revisions that an answer came from.
package gateway.lib.frame

contract := 1

default policy_revision := ""

policy_revision := data.gateway.bundle.revision

default data_revision := -1

data_revision := data.regate.data_revision

# What every answer carries besides its verdict.
stamp := {
	"contract": contract,
	"policy_revision": policy_revision,
	"data_revision": data_revision,
}

# A refusal with these reasons, in this order.
refusal(reasons) := object.union(stamp, {"allow": false, "reasons": reasons})

# One item of a batch as a question of its own; what is no item at all is a question that is refused.
question(item, envelope) := object.union(item, {"contract": envelope.contract, "time": envelope.time}) if {
	is_object(item)
} else := {}
