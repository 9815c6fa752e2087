# METADATA
# title: Many connect decisions at once
# description: Judges live sessions again when roles, locks or policy change, each by itself with `gateway.connect`.
# scope: subpackages
# schemas:
#   - input: schema["input.connect_batch"]
package gateway.connect_batch

import data.gateway.connect
import data.gateway.lib.frame

# METADATA
# title: The answers
# entrypoint: true
answers := {id: decision |
	some id, item in input.items
	decision := connect.decision with input as frame.question(item, input)
}
