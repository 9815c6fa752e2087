"""The corpus of bypass attempts through the whole gateway, by a database user who may do everything.

The role grants SELECT on two tables; the database user is a superuser. So whatever the gateway lets through
runs, and shows a canary or changes a checksum if it should not have.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import psycopg
import pytest
import yaml
from psycopg import pq
from psycopg.pq.abc import PGconn, PGresult

from tests.classify.judge import entries
from tests.e2e.access import Access
from tests.e2e.cluster import DATABASE, Cluster, Done, eventually, role

pytestmark = pytest.mark.db

CANARIES = ("canary-7f3a", "424242")
TABLES = ("app.orders", "app.customers", "app.salaries", "app.events", "secret.pay")
TELL = "language plpgsql as $$ begin raise notice '%', (select who from secret.pay limit 1); return 1; end $$"
SCHEMA = f"""
create schema app; create schema secret;
create table app.orders (id int primary key, customer_id int, amount numeric, note text);
create table app.customers (id int primary key, name text, email text);
create table app.salaries (id int, amount int); create table secret.pay (id int, who text, amount int);
create table app.events (id int); create view app.v_pay as select * from secret.pay;
insert into app.orders values (1, 1, 10, 'x'), (2, 1, 20, 'y');
insert into app.customers values (1, 'ann', 'a@b');
insert into secret.pay values (1, '{CANARIES[0]}', 1); insert into app.salaries values (1, {CANARIES[1]});
insert into app.events values (1);
create function app.leak(app.orders) returns text language sql as 'select who from secret.pay';
create function app.get_pay(int) returns text language sql as 'select who from secret.pay';
create function app.bad(int, int) returns text language sql as 'select who from secret.pay';
create procedure app.proc() language sql as 'delete from app.orders';
create operator app.@@@ (leftarg = int, rightarg = int, function = app.bad);
create type app.mood as enum ('a');
"""
# What stands in no statement's text, or not as a name: a type's check, a cast's function, an operator's.
HIDDEN = f"""
create function app.tell(int) returns int {TELL};
create domain app.checked as int check (app.tell(value) = 1);
create function app.tell(app.orders) returns int {TELL};
create cast (app.orders as int) with function app.tell(app.orders);
create function app.tell(app.orders, int) returns bool {TELL.replace("return 1", "return true")};
create operator app.= (leftarg = app.orders, rightarg = int, function = app.tell);
create operator app.<> (leftarg = app.orders, rightarg = int, function = app.tell);
create operator app.!~~ (leftarg = app.orders, rightarg = int, function = app.tell);
"""
# What PostgreSQL says to those let through: no transaction, no parameter, two commands, no GROUP BY.
OWN_ERRORS = {"25P01", "42P02", "08P01", "42601", "42803"}
SLOW_DISK = "the disk has not answered"
SUM = "select md5(coalesce(string_agg(t::text, ',' order by t::text), '')) from {} t"
COUNTS = "select " + ", ".join(
    f"(select count(*) from {table})"
    for table in (
        "pg_class",
        "pg_proc",
        "pg_type",
        "pg_authid",
        "pg_db_role_setting",
        "pg_largeobject_metadata",
    )
)

Run: TypeAlias = Callable[[PGconn, bytes], PGresult]


def simple(line: PGconn, text: bytes) -> PGresult:
    return line.exec_(text)


def extended(line: PGconn, text: bytes) -> PGresult:
    return line.exec_params(text, None)


class Analyst:
    """One session after another, and all that the server said in them."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._session: psycopg.Connection[tuple[object, ...]] | None = None
        self.said: list[str] = []

    def run(self, how: Run, text: str) -> str:
        """The error code, or nothing; what came back is in ``said``."""
        if self._session is None or self._session.pgconn.status != pq.ConnStatus.OK:
            self.close()
            self._session = psycopg.connect(self._access.conninfo, autocommit=True)
            self._session.add_notice_handler(lambda notice: self.said.append(str(notice.message_primary)))
        line = self._session.pgconn
        self.said.clear()
        result = how(line, text.encode())
        if result.status == pq.ExecStatus.COPY_IN:
            line.put_copy_end(b"nothing to say")
        while result.status == pq.ExecStatus.COPY_OUT and (copied := line.get_copy_data(0))[0] > 0:
            self.said.append(bytes(copied[1]).decode())
        while result.status in {pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT} and line.get_result():
            pass
        for row in range(min(result.ntuples, 200)):
            self.said += [str(result.get_value(row, column)) for column in range(result.nfields)]
        self.said.append(line.error_message.decode())
        if line.transaction_status != pq.TransactionStatus.IDLE and line.status == pq.ConnStatus.OK:
            line.exec_(b"rollback")
        return (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()

    def close(self) -> None:
        """End the session that is open."""
        if self._session is not None:
            self._session.close()

    def shows_a_secret(self) -> bool:
        return any(canary in said for canary in CANARIES for said in self.said)


def state(cluster: Cluster) -> list[str]:
    """Checksums of all rows, and how many things there are."""
    return [cluster.pg.psql(SUM.format(table), "appdb") for table in TABLES] + [
        cluster.pg.psql(COUNTS, "appdb")
    ]


def furnish(cluster: Cluster, database: str, sql: str, db_user: str = "analyst") -> Analyst:
    """A database with these things in it, and a session there that begins when it is needed."""
    cluster.pg.create(database)
    cluster.pg.psql(sql, database)
    return Analyst(cluster.users["analyst"].access(db_user, database))


@pytest.fixture(scope="module")
def analyst(cluster: Cluster) -> Iterator[Analyst]:
    cluster.pg.psql("create role analyst login superuser; alter role analyst set search_path = app")
    reads = {
        "match": {"object_kind": "table", "schema": "app", "name": ["orders", "customers"]},
        "permissions": ["SELECT"],
    }
    where = {
        "db_labels": {"env": "dev"},
        "db_users": ["analyst", "guest"],
        "db_names": ["appdb", "hidden", "blind"],
    }
    cluster.create(role("analyst", allow={**where, "db_permissions": [reads]}))
    cluster.add_user("analyst", "analyst")
    made = furnish(cluster, "appdb", SCHEMA)
    yield made
    made.close()


@pytest.mark.parametrize("how", [simple, extended])
@pytest.mark.parametrize("corpus", ["postgres.yaml", "postgres-variants.yaml"])
def test_what_must_not_pass_has_no_effect_and_what_may_pass_runs(
    cluster: Cluster, analyst: Analyst, how: Run, corpus: str
) -> None:
    before, wrong, passed = state(cluster), [], 0
    for entry in entries(corpus):
        code = analyst.run(how, entry["payload"])
        if SLOW_DISK in analyst.said[-1]:  # of this machine: refused rightly, but not for what it is
            code = analyst.run(how, entry["payload"])
        if entry["must"] != "parse":
            good = code == "42501" and "(decision " in analyst.said[-1]
        else:
            good = not code or code in OWN_ERRORS
            passed += not code
        if not good or analyst.shows_a_secret():
            wrong.append((entry["id"], code, analyst.said[-1]))
    assert wrong == []
    assert passed >= 12
    assert state(cluster) == before


HIDDEN_CALLS = [
    "select o::int from app.orders o",
    "select array[o]::int[] from app.orders o",
    "select case o when 1 then 2 end from app.orders o",
    "select nullif(o, 1) from app.orders o",
    "select o in (1) from app.orders o",
    "select o not in (1, 2) from app.orders o",
    "select o not like 1 from app.orders o",
    "select 1::app.checked",
    "select * from json_to_record('{\"a\": 1}') as x(a app.checked)",
]


@pytest.fixture(scope="module")
def hidden(cluster: Cluster, analyst: Analyst) -> Iterator[Analyst]:
    del analyst  # its person is needed here too
    made = furnish(cluster, "hidden", SCHEMA + HIDDEN)
    yield made
    made.close()


@pytest.mark.parametrize("text", HIDDEN_CALLS)
def test_a_function_that_no_text_names_is_not_run(hidden: Analyst, text: str) -> None:
    assert hidden.run(simple, text) == "42501"
    assert not hidden.shows_a_secret()


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("select $1", "checked", b"1"),
        ("select $1", "_checked", b"{1}"),
        ("select $1::int", "orders", b"(1,1,1,x)"),
        ("select 1 where $1 is null", "mood", b"a"),
    ],
)
def test_the_type_of_a_parameter_is_judged_though_it_is_a_number(
    cluster: Cluster, hidden: Analyst, text: str, name: str, value: bytes
) -> None:
    number = int(cluster.pg.psql(f"select 'app.{name}'::regtype::oid::bigint", "hidden"))

    def bound(line: PGconn, statement: bytes) -> PGresult:
        return line.exec_params(statement, [value], [number])

    assert hidden.run(bound, text) == "42501"
    assert not hidden.shows_a_secret()
    assert f"type app.{name.removeprefix('_')}" in hidden.said[-1]


# An overload of a harmless name that runs with its owner's rights, and somebody for whom the gateway's second
# connection, the one that reads the catalogue, is one too many.
BLIND = """
create function app.lower(int) returns text language sql security definer as 'select who from secret.pay';
create role guest login connection limit 1; alter role guest set search_path = app;
grant usage on schema app to guest; grant select on app.orders to guest;
"""


def test_where_nobody_can_tell_what_there_is_nothing_is_used(cluster: Cluster, analyst: Analyst) -> None:
    del analyst  # its person is needed here too
    guest = furnish(cluster, "blind", SCHEMA + BLIND, "guest")
    try:
        for text in ("select lower(1)", "select id from app.orders"):
            assert guest.run(simple, text) == "42501"
            assert not guest.shows_a_secret()
            assert "could not be read" in guest.said[-1]
        assert guest.run(simple, "begin") == ""
        cluster.pg.psql("alter role guest connection limit -1")
        for _ in eventually("the catalogue can be read again"):
            if guest.run(simple, "select id from app.orders") == "":
                break
        assert guest.run(simple, "select lower(1)") == "42501"
        assert "app.lower" in guest.said[-1]
    finally:
        guest.close()


CORPUS = Path(__file__).resolve().parents[1] / "corpus" / "postgres.yaml"


def live(cluster: Cluster, who: str, db_name: str, file: Path, *, check: bool) -> Done:
    """``regate policy corpus --live`` by that person, as the database user of that name."""
    way = (f"--live={DATABASE}", f"--db-user={who}", f"--db-name={db_name}", "--format=json")
    return cluster.users[who].regate("policy", "corpus", str(file), *way, check=check)


def test_a_corpus_is_sent_through_a_session_of_ones_own(
    cluster: Cluster, analyst: Analyst, tmp_path: Path
) -> None:
    del analyst  # its person and tables are needed here too
    every = yaml.safe_load(CORPUS.read_text())
    sql = [entry for entry in every if entry["kind"] == "sql" and entry["encoding"] == "text"]
    attacks = [entry for entry in sql if entry["must"] != "parse"][::40][:5]
    innocent = [entry for entry in sql if entry["must"] == "parse" and "app.orders" in entry["payload"]][:3]
    others = [next(e for e in every if e["kind"] == kind) for kind in ("wire", "startup", "scenario")]
    assert (len(attacks), len(innocent)) == (5, 3)
    file = tmp_path / "corpus.yaml"
    file.write_text(yaml.safe_dump([*attacks, *innocent, *others]))
    found = json.loads(live(cluster, "analyst", "appdb", file, check=True).stdout)
    assert found["summary"]["postgresql"] == {
        "judged": 8,
        "as_they_must": 8,
        "otherwise": 0,
        "not_judged": 3,
    }
    shown = {item["id"]: item for item in found["as_they_must"]}
    refusals = [shown[entry["id"]] for entry in attacks]
    assert {item["came_out"] for item in refusals} == {"denied"}
    assert {shown[entry["id"]]["came_out"] for entry in innocent} == {"allowed"}
    why = {item["id"]: item["why"] for item in found["not_judged"]}
    assert "kind sql" in why[others[0]["id"]]
    assert "scenarios" in why[others[2]["id"]]
    # What it shows is what was recorded: the refusals went through a real session.
    recorded = {event["fields"].get("decision_id") for event in cluster.audit("--user=analyst")}
    told = {item["sentence"].rpartition("(decision ")[2].rstrip(")") for item in refusals}
    assert len(told) == 5
    assert told <= recorded


def test_what_a_live_corpus_gets_through_is_told_and_rolled_back(cluster: Cluster, tmp_path: Path) -> None:
    texts = {
        "INSERT": "insert into app.orders values (77, 1, 'live')",
        "COPY": "copy app.orders from stdin",
        "OWN-ERROR": "select 1 / 0",
        "KILL": "select pg_terminate_backend(pg_backend_pid())",
    }
    entries = [
        {"id": name, "protocol": "postgres", "kind": "sql", "payload": text, "must": "deny"}
        for name, text in texts.items()
    ]
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump([*entries, {**entries[0], "id": "AGAIN", "must": "parse"}]))
    done = live(cluster, "alice", "mydb", file, check=False)
    assert done.code == 1, done.said
    found = json.loads(done.stdout)
    differences = {item["id"]: item["differences"] for item in found["otherwise"]}
    assert differences.pop("KILL") == [
        "the connection ended, and not by a decision: nobody knows whether it ran"
    ]
    assert differences == {key: ["it was allowed"] for key in ("INSERT", "COPY", "OWN-ERROR")}
    said = {item["id"]: item["sentence"] for item in found["otherwise"]}
    assert said["OWN-ERROR"] == "the server refused it (22012), after the policy allowed it"
    # The same row twice: the first was gone when the second came.
    assert [item["id"] for item in found["as_they_must"]] == ["AGAIN"]
    assert found["as_they_must"][0]["sentence"] == ""
    assert cluster.pg.psql("select count(*) from app.orders where id = 77", "mydb").strip() == "0"


def test_nothing_is_sent_where_no_session_is_opened(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("- {id: A, protocol: postgres, kind: sql, payload: select 1, must: parse}\n")
    done = live(cluster, "carol", "mydb", file, check=False)
    assert (done.code, done.stdout) == (3, "")
