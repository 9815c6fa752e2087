# ruff: noqa: SIM905 - lists of words read best as words
"""Which of PostgreSQL's own functions, operators, types and relations are known, and which are harmless.

Harmless: whatever its arguments are, a call changes nothing and shows nothing but what it was given (and the
time, the user's own name, the database's name, random numbers). All else is not on the list, and that is
the deny-list: what takes SQL text, files, names of relations, settings, sequences, locks or sessions.
"""

from functools import cache
from types import MappingProxyType
from typing import Final

from gateway.classify.postgres import server15

_HARMLESS_BESIDES_PURE: Final = frozenset(
    """
    age array_to_json array_to_string concat concat_ws convert convert_from convert_to date
    date_part date_trunc enum_first enum_last enum_range extract format generate_series json_agg
    json_build_array json_build_object json_object_agg json_populate_record json_populate_recordset
    json_to_record json_to_recordset json_to_tsvector jsonb_agg jsonb_build_array jsonb_build_object
    jsonb_path_exists_tz jsonb_path_match_tz jsonb_path_query_array_tz jsonb_path_query_first_tz
    jsonb_path_query_tz jsonb_populate_record jsonb_populate_recordset jsonb_to_record
    jsonb_to_recordset jsonb_to_tsvector length make_timestamptz max min money numeric overlaps
    phraseto_tsquery plainto_tsquery quote_literal quote_nullable row_to_json time timestamp
    timestamptz timetz timezone to_char to_date to_json to_jsonb to_number to_timestamp to_tsquery
    to_tsvector ts_headline websearch_to_tsquery xml xml_is_well_formed clock_timestamp now
    statement_timestamp timeofday transaction_timestamp gen_random_uuid random current_database
    current_schema current_schemas current_user getdatabaseencoding session_user version
    pg_backend_pid pg_client_encoding pg_collation_for pg_column_size pg_is_in_recovery pg_typeof
    """.split()
)
"""Not immutable (they read the clock, the zone, the locale or who is asking), and harmless all the same."""

_NOT_HARMLESS: Final = frozenset(("pg_walfile_name", "pg_walfile_name_offset", "pg_wal_lsn_diff"))

SYNTAX: Final = frozenset(
    """
    coalesce current_catalog current_date current_role current_time current_timestamp greatest
    grouping least localtime localtimestamp merge_action normalize nullif overlaps user xmlconcat
    xmlelement xmlforest xmlparse xmlpi xmlroot xmlserialize xmltable
    """.split()
)
"""Written like functions, part of the grammar: they live in no schema and nobody can shadow them."""

EVERY_FUNCTION: Final = server15.EVERY_FUNCTION
EMPTY_CALLS: Final = server15.EMPTY_CALLS
HARMLESS: Final = (server15.PURE_FUNCTIONS | _HARMLESS_BESIDES_PURE) - _NOT_HARMLESS
OPERATORS: Final = (server15.OPERATORS | {"!="}) - {"@@@"}  # deprecated, and the usual name for one's own
TYPES: Final = server15.TYPES | {"bpchar", "serial", "bigserial", "smallserial", "record", "anyelement"}
VIEWS: Final = server15.VIEWS
KEYWORDS: Final = server15.KEYWORDS
SYSTEM_COLUMNS: Final = frozenset(("tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"))


def _table(text: str) -> dict[str, tuple[str, ...]]:
    rows = (row.partition(":") for row in text.split(";") if row.strip())
    return {name.strip(): tuple(columns.split()) for name, _, columns in rows}


OUTPUTS: Final = MappingProxyType(
    {
        name: columns
        for name, columns in _table(server15.ROW_FUNCTIONS).items()
        if name in HARMLESS and name != "unnest"  # these are its columns for a tsvector only
    }
)
"""Harmless functions that return rows, and the names of their columns."""

ONE_COLUMN: Final = frozenset(
    """
    current_catalog current_date current_role current_schema current_time current_timestamp current_user
    generate_series generate_subscripts json_object_keys jsonb_object_keys jsonb_path_query
    jsonb_path_query_tz localtime localtimestamp now regexp_matches regexp_split_to_table session_user
    string_to_table user
    """.split()
)
"""Functions whose result is never a row, whatever they get: in FROM it is a column of the alias's name."""


@cache
def relations() -> MappingProxyType[tuple[str, str], tuple[str, ...]]:
    """Every relation of pg_catalog and information_schema, as (schema, name), with its columns."""
    found = {("pg_catalog", name): columns for name, columns in _table(server15.CATALOG).items()}
    found |= {
        ("information_schema", name): columns for name, columns in _table(server15.INFORMATION_SCHEMA).items()
    }
    return MappingProxyType(found)
