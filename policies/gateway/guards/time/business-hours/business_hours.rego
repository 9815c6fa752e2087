# METADATA
# title: Business hours only
# description: Refuses every statement outside of the switch's windows; a switch without a window refuses always.
# schemas:
#   - input: schema["input.query"]
package gateway.guards.time["business-hours"]

import data.gateway.lib.switches
import data.gateway.lib.windows

default applies := false

applies if count(_on) > 0

_on := switches.on("time/business-hours", input.session.database)

deny contains {"code": "outside_business_hours", "message": "this database is open in business hours only"} if {
	some settings in _on
	not windows.open(settings.windows, input.time)
}
