# METADATA
# title: Many connect decisions at once
# description: Judges live sessions again when roles, locks or policy change, each by itself with `gateway.connect`.
# scope: subpackages
# schemas:
#   - input: schema["input.connect_batch"]
package gateway.connect_batch

# METADATA
# title: The answers
# entrypoint: true
answers[id] := decision if {
	some id, item in input.items
	decision := data.gateway.connect.decision with input as object.union(item, {
		"contract": input.contract,
		"time": input.time,
	})
}
