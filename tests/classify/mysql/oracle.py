"""What a real MariaDB touches when it runs a statement: it is run by a user who may do nothing.

The server refuses and names a table and a privilege (1142), or a column (1143). If the classifier found it
too, exactly that is granted and the statement is run again, until it runs or fails otherwise. What the server
names and the classifier did not find is a hole.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import pymysql
from pymysql.constants import CLIENT

from gateway.model.classification import Class, Classification, Effect
from tests.classify.mysql.judge import CASE_COUNTS, VERSIONS, facts_of
from tests.servers.mariadb import SUPERUSER, Mariadb

USER: Final = "probe"
_TABLE: Final = re.compile(
    r"^([\w ,]+) command denied to user \S+ for table (?:`((?:[^`]|``)*)`\.)?(?:`((?:[^`]|``)*)`|'([^']*)')"
)
_DISORDER: Final = (pymysql.Error, OSError)  # the session is in a state that only a new one leaves
_COLUMN: Final = re.compile(r"^([\w ,]+) command denied to user \S+ for column '(.*)' in table '([^']*)'")
# The operations of effects that say that a privilege is needed.
_COVERS: Final[Mapping[str, frozenset[str]]] = {
    "SELECT": frozenset(("select", "lock", "analyze", "check", "update", "insert")),
    "INSERT": frozenset(("insert", "create", "analyze", "check", "optimize", "repair", "alter", "update")),
    "UPDATE": frozenset(("update", "lock")),
    "DELETE": frozenset(("delete", "truncate")),
    "CREATE": frozenset(("create", "alter")),
    "CREATE VIEW": frozenset(("create", "alter")),
    "SHOW VIEW": frozenset(("select",)),
    "SHOW": frozenset(("select",)),
    "DROP": frozenset(("drop", "truncate", "alter", "create")),
    "ALTER": frozenset(("alter", "drop")),
    "INDEX": frozenset(("create", "alter", "drop")),
    "REFERENCES": frozenset(("select",)),
    "TRIGGER": frozenset(("alter",)),
    "DELETE HISTORY": frozenset(("delete",)),
    "LOCK TABLES": frozenset(("lock",)),
}
_GRANTED: Final = frozenset(("SELECT", "INSERT", "UPDATE", "DELETE"))
_ROUNDS: Final = 12
_TABLES: Final = """
create database if not exists app; create database if not exists secret;
create or replace table app.orders (id int primary key, customer_id int, amount int, note text, zz int);
create or replace table app.customers (id int primary key, Name text, email text, zz int);
create or replace table app.parts (id int primary key, zz int)
  partition by range (id) (partition p0 values less than (10), partition p1 values less than maxvalue);
create or replace table secret.pay (id int primary key, who text, amount int, zz int);
create or replace table secret.old (id int primary key, zz int) with system versioning;
create or replace view app.v_pay as select id, who, amount from secret.pay;
create or replace sequence app.seq1;
insert ignore into app.orders values (1, 1, 10, 'a', 0);
insert ignore into secret.pay values (1, 'boss', 99, 0);
"""
_COLUMNS: Final = {
    ("app", "orders"): ("id", "customer_id", "amount", "note", "zz"),
    ("app", "customers"): ("id", "Name", "email", "zz"),
    ("app", "parts"): ("id", "zz"),
    ("secret", "pay"): ("id", "who", "amount", "zz"),
    ("secret", "old"): ("id", "zz"),
}


@dataclass(slots=True)
class Oracle:
    """A server with a few tables, and the user who may do nothing; ``asked`` counts statements that ran."""

    root: pymysql.connections.Connection
    probe: pymysql.connections.Connection
    modes: frozenset[str] = CASE_COUNTS
    asked: int = 0
    named: int = 0
    granted: set[tuple[str, str, str]] = field(default_factory=set)

    def hole(self, text: str, version: str = VERSIONS["mariadb"]) -> str:
        """What the server touches for *text* and the classifier did not find; empty where it found all."""
        facts = facts_of(text, "mariadb", modes=self.modes, version=version)
        if not facts or not all(item.complete for item in facts):
            return ""
        self._forget()
        found: str | None = None
        for _ in range(_ROUNDS):
            refusal = self._run(text)
            if refusal is None:
                break
            self.named += 1
            found = self._answer(refusal, facts)
            if found is not None:
                break
        if any(item.settings for item in facts):  # how the session reads may have changed
            self._renew()
        return found or ""

    def _run(self, text: str) -> str | None:
        """The server's refusal that names a table or a column, or None."""
        self.asked += 1
        try:
            with self.probe.cursor() as cursor:
                cursor.execute(text)
                while cursor.nextset():
                    pass
        except pymysql.Error as error:
            number, said = error.args if len(error.args) == 2 else (0, "")
            return str(said) if number in {1142, 1143} else None
        finally:
            self._tidy()
        return None

    def _tidy(self) -> None:
        """As if nothing had been run."""
        try:
            self.probe.rollback()
            self.probe.select_db("app")
        except _DISORDER:
            self._renew()

    def _renew(self) -> None:
        with suppress(*_DISORDER):
            self.probe.close()
        self.probe.connect()

    def _answer(self, refusal: str, facts: tuple[Classification, ...]) -> str | None:
        """None to go on; else what is missing, or nothing where the server's word is the last."""
        effects = [effect for item in facts for effect in item.effects]
        column = _COLUMN.match(refusal)
        match = _TABLE.match(refusal)
        if column is not None:
            schema, name, words = "", column[3], column[1]
        elif match is not None:
            words, schema, name = (
                part.replace("``", "`") for part in (match[1], match[2] or "", match[3] or match[4])
            )
        else:
            return f"not read: {refusal}"
        if schema == "mysql" and any(effect.cls is Class.ADMIN for effect in effects):
            return ""  # what is done to the server is kept in tables
        for word in words.split(", "):
            mine = [
                effect
                for effect in effects
                if _is_about(effect, schema, name, word) and _covers(effect, word)
            ]
            if column is not None:
                mine = [effect for effect in mine if _names(effect, column[2])]
            if not mine:
                return f"{words}: {refusal}"
            if word not in _GRANTED or not self._grant(word, name, mine):
                return ""
        return None

    def _grant(self, word: str, name: str, effects: list[Effect]) -> bool:
        """Exactly what was found, where it is a table of ours: its columns, or all of it."""
        granted = False
        for thing in {effect.object for effect in effects if effect.object is not None}:
            known = _COLUMNS.get((thing.schema, name))
            if known is None:
                continue
            found = {column for effect in effects for column in effect.columns}
            some = [column for column in known if column in found or column.lower() in found]
            what = word
            if "*" not in found and word == "SELECT":
                what = f"SELECT ({', '.join(f'`{column}`' for column in dict.fromkeys((*some, 'zz')))})"
            if (what, thing.schema, name) in self.granted:
                continue
            with self.root.cursor() as cursor:
                cursor.execute(f"GRANT {what} ON `{thing.schema}`.`{name}` TO {USER}@localhost")
            self.granted.add((what, thing.schema, name))
            granted = True
        return granted

    def _forget(self) -> None:
        if self.granted:
            with self.root.cursor() as cursor:
                cursor.execute(f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {USER}@localhost")
                _open(cursor)
            self.granted.clear()


def _open(cursor: pymysql.cursors.Cursor) -> None:
    """Into the databases, and to no table in them."""
    for schema in ("app", "secret"):
        cursor.execute(f"GRANT CREATE TEMPORARY TABLES ON {schema}.* TO {USER}@localhost")


def _is_about(effect: Effect, schema: str, name: str, word: str) -> bool:
    """The server's own message names the current database where DELETE names an alias."""
    thing = effect.object
    if thing is None or thing.name != name:
        return False
    return not schema or thing.schema == schema or word == "DELETE"


def _covers(effect: Effect, word: str) -> bool:
    is_sequence = effect.object is not None and effect.object.kind == "sequence"
    return effect.operation in _COVERS.get(word, frozenset()) or (
        is_sequence and effect.operation == "update"
    )


def _names(effect: Effect, column: str) -> bool:
    """A column that is found. What an UPDATE writes it may read, says the server, though it does not."""
    return "*" in effect.columns or column.lower() in {found.lower() for found in effect.columns}


def connected(server: Mariadb, sql_mode: str = "") -> Oracle:
    """An oracle over a running server, in a session of that ``sql_mode``."""
    root = pymysql.connect(
        unix_socket=str(server.socket), user=SUPERUSER, client_flag=CLIENT.MULTI_STATEMENTS
    )
    with root.cursor() as cursor:
        cursor.execute(_TABLES)
        while cursor.nextset():
            pass
        cursor.execute(f"CREATE OR REPLACE USER {USER}@localhost")
        _open(cursor)
    probe = pymysql.connect(
        unix_socket=str(server.socket), user=USER, database="app", client_flag=CLIENT.MULTI_STATEMENTS,
        init_command=f"SET sql_mode='{sql_mode}', max_statement_time=2",
    )  # fmt: skip
    modes = frozenset(word for word in sql_mode.split(",") if word)
    return Oracle(root, probe, CASE_COUNTS | modes)
