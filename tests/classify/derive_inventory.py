# ruff: noqa: E501, SIM905 - queries and lists of words read best as they are
"""Write gateway/classify/postgres/server15.py from a real PostgreSQL 15.

    python tests/classify/derive_inventory.py "host=/tmp port=5432 user=postgres dbname=template1"

The rule for functions is the server's own word: every overload is immutable, so it cannot look at a table, a
file, a setting or the clock, and none takes what only the server's insides or catalogue lookups take.
What else is harmless is listed by hand, with its reason, in ``inventory.py``.
"""

import sys
import textwrap
from pathlib import Path

import psycopg

TARGET = Path(__file__).resolve().parents[2] / "gateway/classify/postgres/server15.py"
ODD = """internal cstring trigger event_trigger language_handler fdw_handler index_am_handler tsm_handler
table_am_handler regclass regproc regprocedure regtype regoper regoperator regrole regnamespace refcursor
pg_ddl_command oid xid xid8 pg_snapshot txid_snapshot tid aclitem cid pg_node_tree _aclitem gtsvector oidvector""".split()

PURE = """
with judged as (
  select proname, provolatile = 'i' and not exists (
    select from unnest(proargtypes::oid[] || prorettype) a join pg_type t on t.oid = a where t.typname = any(%s)
  ) as good from pg_proc where pronamespace = 'pg_catalog'::regnamespace)
select proname from judged group by proname having bool_and(good) order by 1"""
EMPTY = "select distinct proname from pg_proc where pronamespace = 'pg_catalog'::regnamespace and pronargs = 0 order by 1"
EVERY = "select distinct proname from pg_proc where pronamespace = 'pg_catalog'::regnamespace order by 1"
OPERATORS = """select distinct oprname from pg_operator o join pg_proc p on p.oid = o.oprcode
  where oprnamespace = 'pg_catalog'::regnamespace and provolatile <> 'v' order by 1"""
TYPES = """select typname from pg_type where typnamespace = 'pg_catalog'::regnamespace and typtype in ('b', 'r', 'm')
  and typname !~ '^(_|pg_|reg)' and typname not in ('refcursor', 'aclitem', 'gtsvector') order by 1"""
KEYWORDS = "select word from pg_get_keywords() order by 1"
VIEWS = """select n.nspname || '.' || relname from pg_class c join pg_namespace n on n.oid = relnamespace
  where n.nspname in ('pg_catalog', 'information_schema') and relkind = 'v' order by 1"""
RELATIONS = """select relname, string_agg(attname, ' ' order by attnum) from pg_class c join pg_attribute a on attrelid = c.oid
  where relnamespace = %s::regnamespace and relkind in ('r', 'v') and attnum > 0 and not attisdropped group by 1 order by 1"""
OUTPUTS = """select distinct proname, array_to_string(proargnames[(1 + pronargs):], ' ') from pg_proc
  where pronamespace = 'pg_catalog'::regnamespace and proretset and proargmodes is not null order by 1"""


def words(name: str, doc: str, items: list[str]) -> str:
    body = textwrap.fill(
        " ".join(items),
        106,
        initial_indent="    ",
        subsequent_indent="    ",
        break_on_hyphens=False,
        break_long_words=False,
    )
    return f'{name}: Final = frozenset(\n    """\n{body}\n    """.split()\n)\n"""{doc}"""\n'


def table(name: str, doc: str, rows: list[tuple[str, str]]) -> str:
    lines = []
    for key, value in rows:
        lines += textwrap.wrap(
            f"{key}: {value};", 106, initial_indent="    ", subsequent_indent="      ", break_on_hyphens=False
        )
    body = "\n".join(lines)
    return f'{name}: Final = """\n{body}\n"""\n"""{doc}"""\n'


def main(conninfo: str) -> None:
    with psycopg.connect(conninfo) as connection:

        def column(sql: str, *args: object) -> list[str]:
            return [row[0] for row in connection.execute(sql, args or None).fetchall()]

        def pairs(sql: str, *args: object) -> list[tuple[str, str]]:
            return [(row[0], row[1]) for row in connection.execute(sql, args or None).fetchall()]

        outputs = [row for row in pairs(OUTPUTS) if row[1]]
        parts = [
            '# ruff: noqa: SIM905 - lists of words read best as words\n"""What PostgreSQL 15 brings in pg_catalog; written by tests/classify/derive_inventory.py, not by hand."""\n\nfrom typing import Final\n',
            words("KEYWORDS", "Every word of the grammar.", column(KEYWORDS)),
            words("VIEWS", "Which of the relations below are views.", column(VIEWS)),
            words("EVERY_FUNCTION", "The name of every function.", column(EVERY)),
            words("EMPTY_CALLS", "Names of functions that take no argument.", column(EMPTY)),
            words(
                "PURE_FUNCTIONS",
                "Names whose every overload is immutable and takes only values.",
                column(PURE, ODD),
            ),
            words("OPERATORS", "Operators, none of them volatile.", column(OPERATORS)),
            words(
                "TYPES", "Types that hold values, without those whose input looks things up.", column(TYPES)
            ),
            table("CATALOG", "Relations of pg_catalog and their columns.", pairs(RELATIONS, "pg_catalog")),
            table(
                "INFORMATION_SCHEMA",
                "Relations of information_schema and their columns.",
                pairs(RELATIONS, "information_schema"),
            ),
            table("ROW_FUNCTIONS", "Functions that return rows, and what their columns are called.", outputs),
        ]
    TARGET.write_text("\n".join(parts))


if __name__ == "__main__":
    main(sys.argv[1])
