# METADATA
# title: What a statement needs, and who grants it
# description: |
#   The judgement of statements against the permissions of the roles that granted the session. Functions of the
#   session and the statement, so that a batch can use them without changing its input.
package gateway.lib.statements

import data.gateway.lib.permissions

# The session's roles that restrict no statement: each lifts the restriction of the others.
lifting(roles) := [name | some name in roles; data.regate.index.roles[name].restricted == false]

# Roles that take permissions away, whoever granted them.
denying(user) := {name |
	some name in data.regate.users[user].roles
	data.regate.index.denying[name]
}

understood(statement) if {
	statement.complete == true
	statement.class != "unknown"
	is_array(statement.effects)
	is_array(statement.functions)
	is_array(statement.operators)
	is_array(statement.casts)
	is_array(statement.settings)
}

effect_passes(effect, _) if _harmless(effect)

effect_passes(effect, session) if granted(effect.operation, effect.object, session)

effect_passes(effect, session) if _columns_granted(effect, session)

# Transaction control, and reads of nothing: functions and settings are judged on their own.
_harmless(effect) if {
	effect.object == null
	_free[effect.operation]
}

# Letting go of what the session itself prepared; preparing was judged, and running is judged again.
_harmless(effect) if _letting_go[effect.operation]

_harmless(effect) if {
	effect.operation == "show"
	effect.object.kind == "setting"
	_is_shown(lower(effect.object.name))
}

_is_shown(name) if _shown[name]

_is_shown(name) if _shown_by_mysql[name]

_letting_go := {"close", "deallocate"}

# Settings that drivers ask for and that tell nothing about the server beyond what start-up told.
_shown := {
	"application_name",
	"client_encoding",
	"datestyle",
	"default_transaction_isolation",
	"default_transaction_read_only",
	"extra_float_digits",
	"search_path",
	"server_version",
	"server_version_num",
	"standard_conforming_strings",
	"statement_timeout",
	"timezone",
	"transaction_isolation",
	"transaction_read_only",
}

# The same for MySQL and MariaDB: what their drivers ask for when they connect.
_shown_by_mysql := {
	"auto_increment_increment",
	"autocommit",
	"character_set_client",
	"character_set_connection",
	"character_set_database",
	"character_set_results",
	"character_set_server",
	"collation_connection",
	"collation_database",
	"collation_server",
	"error_count",
	"in_transaction",
	"init_connect",
	"interactive_timeout",
	"license",
	"lower_case_table_names",
	"max_allowed_packet",
	"net_read_timeout",
	"net_write_timeout",
	"performance_schema",
	"query_cache_size",
	"query_cache_type",
	"session_track_system_variables",
	"sql_mode",
	"system_time_zone",
	"time_zone",
	"tx_isolation",
	"version",
	"version_comment",
	"wait_timeout",
	"warning_count",
}

_free := {
	"begin",
	"commit",
	"copy_out",
	"release",
	"reset",
	"rollback",
	"savepoint",
	"select",
	"set",
	"transaction",
}

# A role that granted the session grants the operation on the thing: looked up where the permission says exactly
# which, and matched where it has patterns.
granted(operation, thing, session) if named(operation, thing, session)

granted(operation, thing, session) if {
	_is_here(thing, session)
	attributes := permissions.attributes(thing, session)
	some name in session.roles
	some permission in data.regate.index.roles[name].permissions.allow
	permissions.covers(permission, operation, attributes)
}

# METADATA
# title: A permission says this operation, and the kind, the schema and the name of the thing
named(operation, thing, session) if {
	_is_here(thing, session)
	some name in session.roles
	data.regate.index.roles[name].exact[thing.kind][thing.schema][thing.name][operation]
}

# Column by column: each that the effect reads or writes is granted by some role that granted the session.
_columns_granted(effect, session) if {
	is_object(effect.object)
	_is_here(effect.object, session)
	given := [granted_here |
		some name in session.roles
		some permission in data.regate.index.roles[name].columns.allow
		attributes := permissions.attributes(effect.object, session)
		granted_here := permissions.granted_columns(permission, effect, attributes)
	]
	count(given) > 0
	permissions.are_known(effect.columns)
	permissions.named(effect.columns) - union({columns | some columns in given}) == set()
}

# What lies in another database was not opened, whatever it is called there.
_is_here(thing, _) if is_null(thing)

_is_here(thing, _) if object.get(thing, "catalog", "") == ""

_is_here(thing, session) if thing.catalog == session.db_name

# A role of the user takes the operation on the thing away.
taken_away(operation, thing, session) if {
	some name in denying(session.user)
	some permission in data.regate.index.roles[name].permissions.deny
	attributes := permissions.attributes(thing, session)
	permissions.covers(permission, operation, attributes)
}

# A role of the user takes a column away that the effect touches, or may touch.
column_taken_away(effect, session) if {
	is_object(effect.object)
	some name in denying(session.user)
	some permission in data.regate.index.roles[name].columns.deny
	attributes := permissions.attributes(effect.object, session)
	permissions.touches(permission, effect, attributes)
}

# METADATA
# title: A role of the user takes away that something is read
reading_taken_away(user) if {
	some name in denying(user)
	some part in ["permissions", "columns"]
	some permission in data.regate.index.roles[name][part].deny
	some word in ["SELECT", "*"]
	permission.operations[word] == true
}

# Settings that steer neither how text is read, nor who somebody is, nor what a name means.
_settings := {
	"application_name",
	"client_min_messages",
	"datestyle",
	"extra_float_digits",
	"idle_in_transaction_session_timeout",
	"idle_session_timeout",
	"intervalstyle",
	"lock_timeout",
	"statement_timeout",
	"timezone",
	"transaction_deferrable",
	"transaction_isolation",
}

# Settings that do steer, set to what the gateway pins them to anyway.
_pinned := {
	"client_encoding": {"unicode", "utf-8", "utf8"},
	"standard_conforming_strings": {"1", "on", "true", "yes"},
	"transaction_read_only": {"1", "on", "true", "yes"},
}

# MySQL's and MariaDB's settings of the first kind, as their drivers and dumps set them.
_settings_of_mysql := {
	"autocommit",
	"character_set_results",
	"interactive_timeout",
	"max_execution_time",
	"max_statement_time",
	"net_read_timeout",
	"net_write_timeout",
	"session_track_system_variables",
	"sql_notes",
	"sql_quote_show_create",
	"sql_safe_updates",
	"sql_select_limit",
	"time_zone",
	"wait_timeout",
}

# Character sets in which no letter holds a quote or a backslash.
_character_sets := {"ascii", "latin1", "utf8", "utf8mb3", "utf8mb4"}

# Words of sql_mode that do not change how text is read; the first stands for those that were there before.
_modes := {
	"@@sql_mode",
	"",
	"allow_invalid_dates",
	"error_for_division_by_zero",
	"no_auto_create_user",
	"no_auto_value_on_zero",
	"no_engine_substitution",
	"no_unsigned_subtraction",
	"no_zero_date",
	"no_zero_in_date",
	"only_full_group_by",
	"pad_char_to_full_length",
	"strict_all_tables",
	"strict_trans_tables",
	"time_truncate_fractional",
	"traditional",
}

_scopes := {"local", "session", "startup"}

may_set(setting) if {
	_scopes[setting.scope]
	_settings[lower(setting.name)]
}

may_set(setting) if {
	_scopes[setting.scope]
	is_string(setting.value)
	_pinned[lower(setting.name)][lower(trim(setting.value, "'"))]
}

may_set(setting) if {
	_scopes[setting.scope]
	_settings_of_mysql[lower(setting.name)]
}

may_set(setting) if {
	_scopes[setting.scope]
	setting.name in {"character_set_client", "character_set_connection"}
	is_string(setting.value)
	_character_sets[lower(setting.value)]
}

# It chooses the character set of the connection with it, and begins with that one's name.
may_set(setting) if {
	_scopes[setting.scope]
	setting.name == "collation_connection"
	is_string(setting.value)
	_character_sets[split(lower(setting.value), "_")[0]]
}

may_set(setting) if {
	_scopes[setting.scope]
	setting.name == "sql_mode"
	is_string(setting.value)
	words := split(lower(setting.value), ",")
	every word in words {
		_modes[trim_space(word)]
	}
}
