"""What a database user can see, read over a second connection as that user.

Every name in the gateway's own SQL is qualified, operators included: a start-up ``search_path`` of somebody
else's must not choose what ``=`` means (the class of CVE-2025-12819).
"""

from typing import Final

from gateway.model.statement import Catalog, Relation
from gateway.protocols.postgres import messages
from gateway.protocols.postgres.errors import LoginError
from gateway.protocols.postgres.login import next_frame
from gateway.sansio.flow import Flow, Write

MAX_ROWS: Final = 500_000
MAX_TEXT: Final = 64 << 20  # characters of names: a catalogue beyond this is not read

_KINDS: Final = {
    "r": "table",
    "p": "table",
    "v": "view",
    "m": "materialized_view",
    "f": "foreign_table",
    "S": "sequence",
}

# Row kinds: r a relation and one of its columns, f a function, o an operator, t a type with its number and
# its element's name, e and i a cast written out or implicit: its function and its target. Casts by functions
# in C are left out: only a superuser can make those, and extensions have many.
_SQL: Final = """
SELECT 'r', n.nspname, c.relname, c.relkind::pg_catalog.text, a.attname
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid
   AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
 WHERE c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r','p','v','m','f','S']::pg_catalog."char"[])
   AND {schemas}
UNION ALL
SELECT 'f', n.nspname, p.proname, NULL, NULL
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace WHERE {schemas}
UNION ALL
SELECT 'o', n.nspname, o.oprname, NULL, NULL
  FROM pg_catalog.pg_operator o
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace WHERE {schemas}
UNION ALL
SELECT 't', n.nspname, t.typname, t.oid::pg_catalog.text, e.typname
  FROM pg_catalog.pg_type t
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace
  LEFT JOIN pg_catalog.pg_type e ON e.typarray OPERATOR(pg_catalog.=) t.oid WHERE {schemas}
UNION ALL
SELECT CASE WHEN c.castcontext OPERATOR(pg_catalog.=) 'i'::pg_catalog."char" THEN 'i' ELSE 'e' END,
       n.nspname, p.proname, s.nspname, t.typname
  FROM pg_catalog.pg_cast c
  JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) c.castfunc
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
  JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
  JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) c.casttarget
  JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) t.typnamespace
 WHERE c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
   AND l.lanname OPERATOR(pg_catalog.<>) 'c'::pg_catalog.name
   AND l.lanname OPERATOR(pg_catalog.<>) 'internal'::pg_catalog.name
"""
_SCHEMAS: Final = (
    "n.nspname OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.name"
    " AND NOT pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_toast')"
    " AND NOT pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_temp_')"
)


def read_catalog() -> Flow[Catalog]:
    """Ask, and take the rows; a catalogue beyond the bounds is a ``LoginError``."""
    yield Write(messages.query(_SQL.replace("{schemas}", _SCHEMAS)))
    reading = _Reading()
    rows = size = 0
    while True:
        kind, body = yield from next_frame()
        if kind == messages.READY_FOR_QUERY:
            return reading.catalog()
        if kind == messages.DATA_ROW:
            rows += 1
            size += len(body)
            if rows > MAX_ROWS or size > MAX_TEXT:
                raise LoginError(f"the catalogue has more than {MAX_ROWS} rows or {MAX_TEXT >> 20} MiB")
            reading.take(messages.read_row(body))


class _Reading:
    """The catalogue as it grows."""

    def __init__(self) -> None:
        self._relations: dict[tuple[str, str], tuple[str, list[str]]] = {}
        self._named: dict[str, set[tuple[str, str]]] = {"f": set(), "o": set(), "t": set(), "i": set()}
        self._numbers: dict[int, tuple[str, str]] = {}
        self._casts: dict[tuple[str, str], set[tuple[str, str]]] = {}

    def take(self, row: list[str | None]) -> None:
        if len(row) != 5 or row[0] is None:
            raise LoginError("the catalogue came in a shape that was not asked for")
        what, schema, name, kind, column = row
        key = (schema or "", name or "")
        if what == "r":
            entry = self._relations.setdefault(key, (_KINDS.get(kind or "", "table"), []))
            if column is not None:
                entry[1].append(column)
        elif what in self._named:
            self._named[what].add(key)
        if what == "t" and kind is not None:
            self._numbers[int(kind)] = (schema or "", column or name or "")
        if what in {"e", "i"}:
            self._casts.setdefault((kind or "", column or ""), set()).add(key)

    def catalog(self) -> Catalog:
        relations = {key: Relation(kind, tuple(columns)) for key, (kind, columns) in self._relations.items()}
        return Catalog(
            relations,
            functions=frozenset(self._named["f"]),
            operators=frozenset(self._named["o"]),
            types=frozenset(self._named["t"]),
            numbers=self._numbers,
            casts={target: frozenset(functions) for target, functions in self._casts.items()},
            implicit=frozenset(self._named["i"]),
        )
