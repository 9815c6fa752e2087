# ruff: noqa: SIM905 - lists of words read best as words
"""PostgreSQL's words, by the part they play in the statements that are parsed.

Derived from ``pg_get_keywords()`` of PostgreSQL 15 and the grammar in its manual. A word that is in none of
these sets is a name.
"""

TYPE_WORDS = frozenset(
    """
    bigint bigserial bit bool boolean box bytea char character cidr circle cstring date
    datemultirange daterange dec decimal double enum float float4 float8 hstore inet int int2 int4
    int8 int4multirange int4range int8multirange int8range integer interval json jsonb line lseg
    macaddr macaddr8 money name national nchar nullable nummultirange numeric numrange object oid
    path point polygon real serial smallint smallserial struct text time timestamp timestamptz
    timetz tsmultirange tsquery tsrange tstzmultirange tstzrange tsvector tuple uuid varbit varchar
    variant varying xml map nested array range list
    """.split()
)
"""Names that a parser may take for the start of a type."""

RESERVED = frozenset(
    """
    all analyse analyze and any array as asc asymmetric both case cast check collate column
    constraint create current_catalog current_date current_role current_time current_timestamp
    current_user default deferrable desc distinct do else end except false fetch for foreign from
    grant group having in initially intersect into lateral leading limit localtime localtimestamp
    not null offset on only or order placing primary references returning select session_user some
    symmetric table then to trailing true union unique user using variadic when where window with
    authorization binary collation concurrently cross current_schema freeze full ilike inner is
    isnull join left like natural notnull outer overlaps right similar tablesample verbose
    """.split()
)
"""Words that are never a table or a bare column; behind a dot or behind AS even these are names."""

TYPE_OR_FUNCTION = frozenset(
    """cross full ilike inner is join left like natural outer overlaps right similar""".split()
)
"""Syntax that may also name a type or a function; a column never."""

BARE = frozenset(
    """
    all and any array as asc between by case conflict constraint cross cube current default delete
    desc distinct do else end escape except exclude exists false fetch filter first following for
    from full group grouping groups having ilike in inner insert intersect into is join key last
    lateral left like limit local locked matched materialized merge natural next no not nothing
    nowait null nulls of offset on only or order ordinality others outer over partition preceding
    range recursive repeatable returning right rollup row rows select set sets share similar skip
    some tablesample temp temporary then ties to true unbounded union unlogged update using values
    when where window with within
    """.split()
)
"""Words that pass to the parser as they stand."""

VALUES_WITHOUT_BRACKETS = frozenset(
    """
    current_catalog current_date current_role current_time current_timestamp current_user localtime
    localtimestamp session_user user current_schema system_user
    """.split()
)
"""Functions that are written like constants."""

OPERANDS = frozenset(("end", "null", "true", "false", "default"))
"""Words that end an operand, so that an operator behind them has two sides."""

XML_SYNTAX = frozenset(
    """
    xmlattributes xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize
    xmltable json_table treat
    """.split()
)
"""Functions with a grammar of their own: ``xml`` reads those of XML, and nobody the others."""
