# METADATA
# title: The obligations in a role's options
# description: Reads `mask`, `max_rows`, `timeout_ms` and `hold` of a `regate/v1` role into what query decisions pass on.
package gateway.lib.obliging

kinds := {"hold": true, "mask": true, "max_rows": true, "timeout_ms": true}

# METADATA
# title: One obligation for each thing that the options ask for
compiled(options) := array.flatten([
	[{kind: options[kind]} |
		some kind in ["max_rows", "timeout_ms"]
		_is_sound(kind, options)
	],
	[{"mask": mask} |
		_is_sound("mask", options)
		some entry in options.mask
		some column, how in entry.columns
		mask := {"schema": entry.schema, "table": entry.table, "column": column, "how": how}
	],
	[{"hold": object.union({"seconds": 300, "reason": "", "operations": []}, options.hold)} |
		_is_sound("hold", options)
	],
])

_is_sound(kind, options) if {
	value := options[kind]
	not is_null(value)
	count(mistakes(kind, value)) == 0
}

# METADATA
# title: What is wrong with one option
# scope: document
default mistakes(_, _) := set()

mistakes(kind, value) := {"a whole number from 1 on is expected"} if {
	kind in {"max_rows", "timeout_ms"}
	not is_null(value)
	not _is_count(value, 2147483646)
}

mistakes("timeout_ms", value) := {"at most 86400000 ms, which is a day, are expected"} if {
	_is_count(value, 2147483646)
	value > 86400000
}

mistakes("mask", value) := {"a list is expected"} if {
	not is_null(value)
	not is_array(value)
}

mistakes("mask", value) := {message |
	some entry in value
	some message in _mask_mistakes(entry)
} if {
	is_array(value)
}

mistakes("hold", value) := {"seconds, a reason and a list of operations are expected"} if {
	not is_null(value)
	not _is_hold(value)
}

_ways := {"full", "hash", "null", "partial"}

_mask_mistakes(entry) := {"schema, table and columns are expected, each by its exact name"} if {
	not _is_mask(entry)
} else := {message |
	some column, how in entry.columns
	not how in _ways
	message := sprintf("column %s is masked partial, hash, full or null", [column])
}

_is_mask(entry) if {
	object.keys(entry) == {"columns", "schema", "table"}
	is_object(entry.columns)
	count(entry.columns) > 0
	every name in array.concat([entry.schema, entry.table], [column | some column, _ in entry.columns]) {
		_is_name(name)
	}
}

_is_name(name) if {
	is_string(name)
	count(name) in numbers.range(1, 63)
	not contains(name, "*")
	not contains(name, "\u0000")
}

_is_hold(value) if {
	is_object(value)
	object.keys(value) - {"operations", "reason", "seconds"} == set()
	_is_count(object.get(value, "seconds", 300), 86400)
	is_string(object.get(value, "reason", ""))
	operations := object.get(value, "operations", [])
	is_array(operations)
	every operation in operations {
		is_string(operation)
		operation == upper(operation)
	}
}

_is_count(value, most) if {
	is_number(value)
	value == floor(value)
	value >= 1
	value <= most
}
