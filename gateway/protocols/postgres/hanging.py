"""What hangs on relations, read with the rest of the catalogue: keys, checks, and code that no text names.

Names in the SQL are qualified, operators included, as in ``catalog``.
"""

import json
from typing import Final

from gateway.model.statement import ForeignKey, Ties

# Row kinds: k a foreign key: the relation that refers, the one it refers to, both their columns as JSON, and
# "c" where a change there changes rows here; u the columns of a unique or excluding index, q those of a check
# over several; x a relation of which something calls a function that is not built in; z what there is at all:
# "o" a function that may open a cursor by name, "d" a trigger that may wait for the end of a transaction.
# pg_depend knows no function that came with the server, so whatever it knows is somebody's own.
SQL: Final = """
UNION ALL
SELECT 'k', n.nspname, c.relname, m.nspname, b.relname,
       (SELECT pg_catalog.json_agg(a.attname)::pg_catalog.text FROM pg_catalog.pg_attribute a
         WHERE a.attrelid OPERATOR(pg_catalog.=) k.conrelid
           AND a.attnum OPERATOR(pg_catalog.=) ANY (k.conkey)),
       (SELECT pg_catalog.json_agg(a.attname)::pg_catalog.text FROM pg_catalog.pg_attribute a
         WHERE a.attrelid OPERATOR(pg_catalog.=) k.confrelid
           AND a.attnum OPERATOR(pg_catalog.=) ANY (k.confkey)),
       CASE WHEN k.confdeltype OPERATOR(pg_catalog.=) ANY (ARRAY['c','n','d']::pg_catalog."char"[])
              OR k.confupdtype OPERATOR(pg_catalog.=) ANY (ARRAY['c','n','d']::pg_catalog."char"[])
            THEN 'c' ELSE '' END
  FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) k.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
  JOIN pg_catalog.pg_class b ON b.oid OPERATOR(pg_catalog.=) k.confrelid
  JOIN pg_catalog.pg_namespace m ON m.oid OPERATOR(pg_catalog.=) b.relnamespace
 WHERE k.contype OPERATOR(pg_catalog.=) 'f'::pg_catalog."char" AND {schemas}
UNION ALL
SELECT 'u', n.nspname, c.relname, NULL, NULL,
       (SELECT pg_catalog.json_agg(a.attname)::pg_catalog.text FROM pg_catalog.pg_attribute a
         WHERE a.attrelid OPERATOR(pg_catalog.=) i.indrelid
           AND a.attnum OPERATOR(pg_catalog.>) 0
           AND (a.attnum OPERATOR(pg_catalog.=) ANY (i.indkey::pg_catalog.int2[])
                OR EXISTS (SELECT FROM pg_catalog.pg_depend d
                            WHERE d.classid OPERATOR(pg_catalog.=)
                                    'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
                              AND d.objid OPERATOR(pg_catalog.=) i.indexrelid
                              AND d.refobjid OPERATOR(pg_catalog.=) i.indrelid
                              AND d.refobjsubid OPERATOR(pg_catalog.=) a.attnum))),
       NULL, NULL
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indrelid
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
 WHERE (i.indisunique OR i.indisexclusion) AND {schemas}
UNION ALL
SELECT 'q', n.nspname, c.relname, NULL, NULL,
       (SELECT pg_catalog.json_agg(a.attname)::pg_catalog.text FROM pg_catalog.pg_attribute a
         WHERE a.attrelid OPERATOR(pg_catalog.=) k.conrelid
           AND a.attnum OPERATOR(pg_catalog.=) ANY (k.conkey)),
       NULL, NULL
  FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) k.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
 WHERE k.contype OPERATOR(pg_catalog.=) 'c'::pg_catalog."char"
   AND pg_catalog.cardinality(k.conkey) OPERATOR(pg_catalog.>) 1 AND {schemas}
UNION ALL
SELECT 'x', n.nspname, c.relname, NULL, NULL, NULL, NULL, NULL
  FROM (SELECT t.tgrelid FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal
        UNION
        SELECT COALESCE(f.adrelid, a.attrelid, NULLIF(k.conrelid, 0::pg_catalog.oid), i.indrelid,
                        w.ev_class, p.polrelid, r.oid)
          FROM pg_catalog.pg_depend d
          LEFT JOIN pg_catalog.pg_attrdef f ON f.oid OPERATOR(pg_catalog.=) d.objid
           AND f.tableoid OPERATOR(pg_catalog.=) d.classid
          LEFT JOIN pg_catalog.pg_constraint k ON k.oid OPERATOR(pg_catalog.=) d.objid
           AND k.tableoid OPERATOR(pg_catalog.=) d.classid
          LEFT JOIN pg_catalog.pg_attribute a ON k.contypid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
           AND a.atttypid OPERATOR(pg_catalog.=) k.contypid
          LEFT JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) d.objid
           AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
          LEFT JOIN pg_catalog.pg_rewrite w ON w.oid OPERATOR(pg_catalog.=) d.objid
           AND w.tableoid OPERATOR(pg_catalog.=) d.classid
          LEFT JOIN pg_catalog.pg_policy p ON p.oid OPERATOR(pg_catalog.=) d.objid
           AND p.tableoid OPERATOR(pg_catalog.=) d.classid
          LEFT JOIN pg_catalog.pg_class r ON r.oid OPERATOR(pg_catalog.=) d.objid
           AND r.tableoid OPERATOR(pg_catalog.=) d.classid
         WHERE d.refclassid OPERATOR(pg_catalog.=) ANY (ARRAY[
                 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid,
                 'pg_catalog.pg_operator'::pg_catalog.regclass::pg_catalog.oid,
                 'pg_catalog.pg_opclass'::pg_catalog.regclass::pg_catalog.oid,
                 'pg_catalog.pg_cast'::pg_catalog.regclass::pg_catalog.oid])) x (relation)
  JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) x.relation
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
 WHERE {schemas}
UNION ALL
SELECT 'z', 'o', NULL, NULL, NULL, NULL, NULL, NULL
 WHERE EXISTS (
       SELECT FROM pg_catalog.pg_proc p
         JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
        WHERE p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
          AND l.lanname OPERATOR(pg_catalog.<>) ALL (ARRAY['c','internal']::pg_catalog.name[])
          AND (l.lanname OPERATOR(pg_catalog.<>) ALL (ARRAY['plpgsql','sql']::pg_catalog.name[])
               OR p.prosrc OPERATOR(pg_catalog.~*)
                    '\\m(open|cursor|refcursor|execute|declare|prepare)\\M'::pg_catalog.text))
UNION ALL
SELECT 'z', 'd', NULL, NULL, NULL, NULL, NULL, NULL
 WHERE EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgdeferrable AND NOT t.tgisinternal)
"""

_Key = tuple[str, str]


class Hanging:
    """The ties as their rows come in."""

    def __init__(self) -> None:
        self._keys: set[ForeignKey] = set()
        self._groups: dict[str, dict[_Key, set[frozenset[str]]]] = {"u": {}, "q": {}}
        self._code: set[_Key] = set()
        self._has: set[str] = set()

    def take(self, row: list[str | None]) -> None:
        """One row; kinds that are none of these are left alone."""
        what, schema, name, there, target, columns, referred, how = row
        key = (schema or "", name or "")
        if what == "k":
            found = (there or "", target or "")
            self._keys.add(ForeignKey(key, _names(columns), found, _names(referred), spreads=how == "c"))
        elif what in self._groups:
            self._groups[what].setdefault(key, set()).add(_names(columns))
        elif what == "x":
            self._code.add(key)
        elif what == "z":
            self._has.add(key[0])

    def ties(self) -> Ties:
        """All of them."""
        unique, checked = (
            {key: frozenset(groups) for key, groups in self._groups[kind].items()} for kind in "uq"
        )
        return Ties(
            frozenset(self._keys),
            unique,
            checked,
            frozenset(self._code),
            opens_cursors="o" in self._has,
            runs_late="d" in self._has,
        )


def _names(listed: str | None) -> frozenset[str]:
    return frozenset(json.loads(listed or "[]"))
