# METADATA
# title: Many query decisions at once
# description: |
#   Judges each item by itself with `gateway.query`. The answer is keyed as the items are: in an array one undefined
#   verdict would shift the others.
# scope: subpackages
# schemas:
#   - input: schema["input.query_batch"]
package gateway.query_batch

# METADATA
# title: The answers
# entrypoint: true
answers[id] := decision if {
	some id, item in input.items
	decision := data.gateway.query.decision with input as {
		"contract": input.contract,
		"time": input.time,
		"session": item.session,
		"request": item.request,
	}
}
