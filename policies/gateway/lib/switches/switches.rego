# METADATA
# title: The guards that are shipped, and whether they are switched on
# description: |
#   A shipped guard speaks only where a resource of kind `guard` switches it on, and not for the
#   databases that the resource excepts by their labels. What it says stands in the index by the guard's place.
package gateway.lib.switches

import data.gateway.lib.labels
import data.gateway.lib.windows

# METADATA
# title: The shipped guards by their place
# description: They are listed, for preparing the index must not depend on guards, whose tests build on the index.
shipped := {
	"changes/maintenance-freeze",
	"exports/no-copy-out",
	"reads/bounded-pii",
	"schema/no-ddl",
	"time/business-hours",
	"writes/where-required",
}

# METADATA
# title: No guard can have a say about this database
# description: |
#   No resource switches one on for it, and the bundle says that the team has none of its own. One that does not say so
#   may have some.
# scope: document
quiet(_) if data.regate.index.asleep == true

quiet(database) if {
	data.gateway.inventory.team_guards == false
	every switches in data.regate.index.guards {
		every switch in switches {
			_is_excepted(switch, database)
		}
	}
}

# METADATA
# title: The settings of each switch that is on for this database
on(path, database) := [switch.settings |
	some switch in data.regate.index.guards[path]
	not _is_excepted(switch, database)
]

_is_excepted(switch, database) if labels.selects(switch.except, database.labels, {})

# METADATA
# title: A switch as decisions read it
compiled(except, settings) := {
	"except": labels.compile_selector(except),
	"settings": object.union(
		{
			"windows": windows.compile(object.get(settings, "windows", [])),
			"max_rows": object.get(settings, "max_rows", 1000),
			"tables": [labels.compile_selector(table) | some table in object.get(settings, "tables", [{"*": "*"}])],
		},
		object.filter(settings, ["from_ns", "until_ns"]),
	),
}
