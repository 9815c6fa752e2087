"""What a database user can see, read over a second connection as that user.

Every name in the gateway's own SQL is qualified, operators included: a start-up ``search_path`` of somebody
else's must not choose what ``=`` means (the class of CVE-2025-12819).
"""

from typing import Final

from gateway.model.statement import Catalog, Relation
from gateway.protocols.postgres import hanging, messages
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

# Row kinds: r a relation and one of its columns with its number and type, s a view and a relation that its
# rule reads, or two relations of which one inherits from the other, f a function, o an operator, t a type
# with its number and its element's name, e and i a cast written out or implicit: its function and its target.
# Casts by functions in C are left out: only a superuser can make those, and extensions have many.
_SQL: Final = """
SELECT 'r', n.nspname, c.relname, c.relkind::pg_catalog.text, a.attname,
       c.oid::pg_catalog.text, a.attnum::pg_catalog.text, pg_catalog.format_type(a.atttypid, a.atttypmod)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid
   AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
 WHERE c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r','p','v','m','f','S']::pg_catalog."char"[])
   AND {schemas}
UNION ALL
SELECT 'f', n.nspname, p.proname, NULL, NULL, NULL, NULL, NULL
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace WHERE {schemas}
UNION ALL
SELECT 'o', n.nspname, o.oprname, NULL, NULL, NULL, NULL, NULL
  FROM pg_catalog.pg_operator o
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace WHERE {schemas}
UNION ALL
SELECT 't', n.nspname, t.typname, t.oid::pg_catalog.text, e.typname, NULL, NULL, NULL
  FROM pg_catalog.pg_type t
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace
  LEFT JOIN pg_catalog.pg_type e ON e.typarray OPERATOR(pg_catalog.=) t.oid WHERE {schemas}
UNION ALL
SELECT CASE WHEN c.castcontext OPERATOR(pg_catalog.=) 'i'::pg_catalog."char" THEN 'i' ELSE 'e' END,
       n.nspname, p.proname, s.nspname, t.typname, NULL, NULL, NULL
  FROM pg_catalog.pg_cast c
  JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) c.castfunc
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
  JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
  JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) c.casttarget
  JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) t.typnamespace
 WHERE c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
   AND l.lanname OPERATOR(pg_catalog.<>) 'c'::pg_catalog.name
   AND l.lanname OPERATOR(pg_catalog.<>) 'internal'::pg_catalog.name
UNION ALL
SELECT 's', n.nspname, c.relname, m.nspname, b.relname, NULL, NULL, NULL
  FROM (SELECT w.ev_class, d.refobjid
          FROM pg_catalog.pg_depend d
          JOIN pg_catalog.pg_rewrite w ON w.oid OPERATOR(pg_catalog.=) d.objid
         WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid
           AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
           AND w.ev_class OPERATOR(pg_catalog.<>) d.refobjid
        UNION
        SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits i
        UNION
        SELECT i.inhparent, i.inhrelid FROM pg_catalog.pg_inherits i) x (shown, source)
  JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) x.shown
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
  JOIN pg_catalog.pg_class b ON b.oid OPERATOR(pg_catalog.=) x.source
  JOIN pg_catalog.pg_namespace m ON m.oid OPERATOR(pg_catalog.=) b.relnamespace
 WHERE c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r','p','v','m','f']::pg_catalog."char"[])
   AND {schemas}
"""
_SCHEMAS: Final = (
    "n.nspname OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.name"
    " AND NOT pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_toast')"
    " AND NOT pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_temp_')"
)


def read_catalog() -> Flow[Catalog]:
    """Ask, and take the rows; a catalogue beyond the bounds is a ``LoginError``."""
    yield Write(messages.query((_SQL + hanging.SQL).replace("{schemas}", _SCHEMAS)))
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
        self._relations: dict[tuple[str, str], tuple[str, int, list[tuple[int, str, str]]]] = {}
        self._shares: dict[tuple[str, str], set[tuple[str, str]]] = {}
        self._named: dict[str, set[tuple[str, str]]] = {"f": set(), "o": set(), "t": set(), "i": set()}
        self._numbers: dict[int, tuple[str, str]] = {}
        self._casts: dict[tuple[str, str], set[tuple[str, str]]] = {}
        self._hanging = hanging.Hanging()

    def take(self, row: list[str | None]) -> None:
        if len(row) != 8 or row[0] is None:
            raise LoginError("the catalogue came in a shape that was not asked for")
        what, schema, name, kind, column, oid, number, of_type = row
        key = (schema or "", name or "")
        self._hanging.take(row)
        if what == "r":
            entry = self._relations.setdefault(key, (_KINDS.get(kind or "", "table"), int(oid or 0), []))
            if column is not None:
                entry[2].append((int(number or 0), column, of_type or ""))
        elif what == "s":
            self._shares.setdefault(key, set()).add((kind or "", column or ""))
        elif what in self._named:
            self._named[what].add(key)
        if what == "t" and kind is not None:
            self._numbers[int(kind)] = (schema or "", column or name or "")
        if what in {"e", "i"}:
            self._casts.setdefault((kind or "", column or ""), set()).add(key)

    def catalog(self) -> Catalog:
        relations = {key: _relation(*found) for key, found in self._relations.items()}
        return Catalog(
            relations,
            functions=frozenset(self._named["f"]),
            operators=frozenset(self._named["o"]),
            types=frozenset(self._named["t"]),
            numbers=self._numbers,
            casts={target: frozenset(functions) for target, functions in self._casts.items()},
            implicit=frozenset(self._named["i"]),
            shares={shown: frozenset(sources) for shown, sources in self._shares.items()},
            ties=self._hanging.ties(),
        )


def _relation(kind: str, oid: int, columns: list[tuple[int, str, str]]) -> Relation:
    columns.sort()
    return Relation(
        kind,
        columns=tuple(name for _, name, _ in columns),
        types=tuple(of_type for _, _, of_type in columns),
        numbers=tuple(number for number, _, _ in columns),
        oid=oid,
    )
