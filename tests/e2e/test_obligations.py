"""What is concealed stays so in every format and by every way out; bounds hold; nothing is inferred.

mary's role masks three columns of one table, and a guard filters the rows of another for her; rita's role
bounds rows and time.
"""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from threading import Thread, Timer
from typing import Any

import asyncpg
import psycopg
import pytest

from tests.e2e import cluster as clusters
from tests.e2e.access import Access
from tests.e2e.cluster import Cluster, eventually, role
from tests.e2e.jdbc import driver as jdbc
from tests.servers import process

pytestmark = pytest.mark.db

SECRETS = ("123-45-6789", "987-65-4321", "ann@example.com", "bob@example.com", "4711", "0815")
TABLES = """
create schema app;
create table app.people (id int primary key, name text not null, ssn varchar(11), email text, pin int,
                         born date, constraint named check (name <> 'nobody'));
insert into app.people values (1, 'ann', '123-45-6789', 'ann@example.com', 4711, '1980-02-03'),
                              (2, 'bob', '987-65-4321', 'bob@example.com', 815, '1990-02-03'),
                              (3, 'cy', null, null, null, null);
create table app.orders (id int primary key, person int references app.people, region text, total int);
insert into app.orders select n, 1 + n % 3, case when n % 2 = 0 then 'eu' else 'us' end, n
  from generate_series(1, 20) n;
create view app.contacts as select id, email from app.people;
create table app.readers (like app.people);
create table app.children () inherits (app.people);
grant usage on schema app to mary, rita, hugo;
grant all on all tables in schema app to mary, rita, hugo;
"""
GUARD = """package gateway.guards.rows.europe

obligations contains {"row_filter": {"schema": "app", "table": table}} if {
	input.session.user == "mary"
	some table in ["orders", "sales", "sales_eu"]
}

include if input.row.region == "eu"
"""
GRANTED = {"db_labels": {"env": "dev"}, "db_names": ["mydb"]}
ANSWERING = [{"resources": ["hold"], "verbs": ["list", "read", "update"]}]
MASKS = [
    {
        "schema": "app",
        "table": "people",
        "columns": {"ssn": "partial", "email": "hash", "pin": "full", "born": "null"},
    }
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with process.temporary_folder("regate-") as folder:
        guard = folder / "policies" / "guards" / "rows" / "europe"
        guard.mkdir(parents=True)
        (guard / "europe.rego").write_text(GUARD)
        with clusters.running(folder, policy={"dir": str(folder / "policies")}) as running:
            running.pg.create("mydb", "mary", "rita", "hugo")
            running.pg.psql(TABLES, "mydb")
            running.create(
                role("masked", "regate/v1", allow={**GRANTED, "db_users": ["mary"]}, options={"mask": MASKS}),
                role(
                    "bounded",
                    "regate/v1",
                    allow={**GRANTED, "db_users": ["rita"]},
                    options={"max_rows": 5, "timeout_ms": 700},
                ),
            )
            running.create(
                role(
                    "held",
                    "regate/v1",
                    allow={**GRANTED, "db_users": ["hugo"], "rules": ANSWERING},
                    options={"hold": {"seconds": 12, "reason": "two see more", "operations": ["DELETE"]}},
                ),
                role("second", allow={"rules": ANSWERING}),
            )
            running.add_users(hugo="held", sue="second", mary="masked", rita="bounded")
            yield running


@pytest.fixture(scope="module")
def mary(cluster: Cluster) -> Access:
    return cluster.users["mary"].access("mary", "mydb")


@pytest.fixture(scope="module")
def rita(cluster: Cluster) -> Access:
    return cluster.users["rita"].access("rita", "mydb")


def psql(access: Access, *statements: str) -> str:
    """Both streams of psql, which stops at nothing."""
    commands = [argument for statement in statements for argument in ("-c", statement)]
    done = subprocess.run(
        ["psql", "-X", "-At", "-v", "VERBOSITY=verbose", *commands],
        env={**access.environment, "PATH": "/usr/bin:/bin:/usr/local/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def leaks(shown: object) -> list[str]:
    text = repr(shown)
    return [secret for secret in SECRETS if secret in text]


def test_each_mask_shows_what_it_says(mary: Access) -> None:
    lines = psql(mary, "select ssn, email, pin, born from app.people order by id").splitlines()
    first, second, third = (line.split("|") for line in lines)
    assert (first[0], second[0], third[0]) == ("****6789", "****4321", "")
    assert len(first[1]) == 64 == len(second[1])
    assert first[1] != second[1]
    assert third[1] == ""
    assert [row[2:] for row in (first, second, third)] == [["0", ""], ["0", ""], ["0", ""]]
    assert not leaks(lines)


READS = [
    "select * from app.people",
    "select p.* from app.people p where p.id < 3",
    "select ssn as a, email, pin, born from app.people",
    "select o.id, p.ssn, p.pin from app.orders o join app.people p on p.id = o.person",
    "with x as (select * from app.people) select * from x",
    "select * from (select email, ssn from app.people) s",
    "select ssn from app.people union all select email from app.people",
    "select distinct ssn from app.people",
    "select ssn::text, pin::text from app.people",
    "select a, b, c, d, e, f from app.people as p (a, b, c, d, e, f)",
    "select (select ssn from app.people where id = 1)",
    "select array(select ssn from app.people)",
    "with recursive r as (select id, ssn from app.people union select id, ssn from r) select * from r",
]


@pytest.mark.parametrize("statement", READS)
@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_no_format_shows_what_is_masked(mary: Access, statement: str, *, binary: bool) -> None:
    with psycopg.connect(mary.conninfo, autocommit=True) as connection:
        for prepare in (False, True):
            cursor = connection.cursor(binary=binary)
            cursor.execute(statement.encode(), prepare=prepare)
            rows = cursor.fetchall()
            assert rows
            assert not leaks(rows)
        raw = connection.execute(statement.encode(), binary=binary)
        result = raw.pgresult
        assert result is not None
        cells = [result.get_value(row, at) for row in range(result.ntuples) for at in range(result.nfields)]
        assert (4711).to_bytes(4, "big") not in cells


REFUSED = [
    "select id from app.people where ssn = '123-45-6789'",
    "select id from app.people where ssn like '1%'",
    "select id from app.people p order by p.ssn",
    "select ssn, count(*) from app.people group by ssn",
    "select count(*) from app.people group by app.people.ssn",
    "select a.id from app.people a join app.people b on a.ssn = b.ssn",
    "select a.id from app.people a join app.readers b using (ssn)",
    "select 1 from app.people natural join app.readers",
    "select upper(ssn) from app.people",
    "select ssn || '' from app.people",
    "select max(pin) from app.people",
    "select case when pin > 4000 then 1 end from app.people",
    "select p from app.people p",
    "select p::text from app.people p",
    "select row_to_json(p) from app.people p",
    "select row_to_json(p.*) from app.people p",
    "select (p).ssn from app.people p",
    "select id from app.people where exists (select 1 from app.orders where ssn like '1%')",
    "select id, row_number() over (order by ssn) from app.people",
    "select count(*) filter (where ssn like '1%') from app.people",
    "select * from app.contacts",
    "select * from app.children",
    "table app.people",
    "select ssn from only app.people",
    "select * from app.people tablesample system (100)",
    "copy app.people to stdout",
    "copy app.people (ssn) to stdout",
    "explain select ssn from app.people",
    "explain analyze select * from app.people",
    "create table app.copied as select * from app.people",
    "create view app.seen as select ssn from app.people",
    "select ssn into app.copied from app.people",
    "insert into app.readers select * from app.people",
    "insert into app.readers (id, name, ssn) select id, name, ssn from app.people",
    "update app.people set name = ssn where id = 1",
    "update app.people set name = 'x' where ssn like '1%'",
    "update app.readers r set name = p.ssn from app.people p",
    "update app.people set name = 'ann' where id = 1 returning *",
    "delete from app.people where pin = 4711",
    "delete from app.people where id = 99 returning ssn",
    "insert into app.people (id, name) values (1, 'x') on conflict (id) do update set name = people.ssn",
    "prepare p as select ssn from app.people",
    "do $$ begin perform 1; end $$",
    "select query_to_xml('select ssn from app.people', true, true, '')",
    "select * from pg_stats",
    "select most_common_vals from pg_catalog.pg_stats where tablename = 'people'",
    "select query from pg_stat_activity",
    "alter table app.people rename ssn to other",
    "alter table app.people set schema public",
    "alter schema app rename to elsewhere",
    "select regate_row.ssn from app.people as regate_row",
    "update app.orders set total = 1 where region = 'us'",
    "delete from app.orders where id = 1",
    "copy app.orders to stdout",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_what_would_tell_is_refused(mary: Access, statement: str) -> None:
    shown = psql(mary, statement)
    assert "42501" in shown, shown
    assert not leaks(shown.replace(statement, ""))


def test_a_failed_change_quotes_no_row(mary: Access) -> None:
    shown = psql(mary, "update app.people set name = 'nobody' where id = 1")
    assert "23514" in shown
    assert not leaks(shown)
    assert "ann" not in shown


def test_a_change_that_reads_nothing_masked_goes_through(cluster: Cluster, mary: Access) -> None:
    assert psql(mary, "update app.people set name = 'anne' where id = 1") == "UPDATE 1\n"
    cluster.pg.psql("update app.people set name = 'ann' where id = 1", "mydb")
    assert psql(mary, "select count(*), max(name) from app.people") == "3|cy\n"


@pytest.mark.parametrize("form", ["text", "csv", "binary"])
def test_copy_of_a_query_is_masked(mary: Access, form: str) -> None:
    with (
        psycopg.connect(mary.conninfo, autocommit=True) as connection,
        connection.cursor() as cursor,
        cursor.copy(f"copy (select * from app.people) to stdout (format {form})") as copy,
    ):
        data = b"".join(bytes(part) for part in copy)
    assert b"****6789" in data
    assert not leaks(data)
    assert (4711).to_bytes(4, "big") not in data


def test_rows_beyond_the_filter_are_not_there(mary: Access) -> None:
    assert psql(mary, "select count(*), min(region), max(region) from app.orders") == "10|eu|eu\n"
    assert psql(mary, "select region from app.orders where region = 'us'") == ""
    assert psql(mary, "select 1 from app.orders where 1 / (total - 7) is null") == ""
    with psycopg.connect(mary.conninfo, autocommit=True) as connection:
        found = connection.execute("select id from app.orders where id < %s order by id", [6], prepare=True)
        assert found.fetchall() == [(2,), (4,)]


def test_asyncpg_gets_the_same(mary: Access) -> None:
    async def talk() -> list[tuple[object, ...]]:
        connection = await _asyncpg(mary)
        try:
            statement = await connection.prepare("select ssn, pin, born from app.people where id = $1")
            rows = [tuple(row) for row in (await statement.fetch(1), await statement.fetch(2)) for row in row]
            rows += [tuple(row) for row in await connection.fetch("select * from app.people")]
            async with connection.transaction():
                cursor = connection.cursor(
                    "select ssn from app.people where id > $1 order by id", 0, prefetch=1
                )
                rows += [tuple(row) async for row in cursor]
        finally:
            await connection.close()
        return rows

    rows = asyncio.run(talk())
    assert rows[0] == ("****6789", 0, None)
    assert rows[-3:] == [("****6789",), ("****4321",), (None,)]
    assert not leaks(rows)


def test_pgjdbc_gets_the_same_a_few_rows_at_a_time(mary: Access, rita: Access, tmp_path: Path) -> None:
    steps = ["autocommit off", "run select ssn, pin from app.people order by id", "commit"]
    answers = jdbc.session(jdbc.url(mary, tmp_path, defaultRowFetchSize="1"), steps)
    assert [answer.rows for answer in answers] == ["", "****6789|0;****4321|0;null|0", ""], answers
    steps[1] = "run select id from app.orders order by id"
    answers = jdbc.session(jdbc.url(rita, tmp_path, defaultRowFetchSize="2"), steps)
    assert answers[1].rows == "1;2;3;4;5", answers


async def _asyncpg(access: Access) -> "asyncpg.Connection[asyncpg.Record]":
    values = access.environment
    return await asyncpg.connect(
        dsn="postgresql://",
        host=values["PGHOST"],
        port=int(values["PGPORT"]),
        user="mary",
        database="mydb",
        ssl=_context(access),
    )


def _context(access: Access) -> object:
    import ssl  # noqa: PLC0415 - one test's

    context = ssl.create_default_context(cafile=str(access.ca))
    assert access.certificate is not None
    context.load_cert_chain(access.certificate, access.key)
    return context


def test_what_was_sent_is_recorded_without_the_salt(cluster: Cluster, mary: Access) -> None:
    psql(mary, "select email, 7171 from app.people")
    record = next(
        each["fields"]
        for each in reversed(cluster.audit("--user=mary"))
        if each["kind"] == "db.session.query" and "7171" in each["fields"]["statement"]
    )
    assert "sha256" in record["sent"][0]
    assert "…" in record["sent"][0]
    assert {mask["column"] for mask in record["obligations"]["mask"]} == {"ssn", "email", "pin", "born"}


# -- bounds


def test_rows_beyond_the_bound_are_left_out_with_a_notice(rita: Access) -> None:
    shown = psql(rita, "select id from app.orders order by id")
    assert shown.startswith("1\n2\n3\n4\n5\n")
    assert "\n6\n" not in shown
    assert "max_rows" in shown
    assert psql(rita, "select id from app.orders order by id limit 5") == "1\n2\n3\n4\n5\n"


def test_a_bound_holds_for_a_portal_as_a_whole(rita: Access) -> None:
    with psycopg.connect(rita.conninfo) as connection:
        rows = connection.execute("select id from app.orders order by id", prepare=True).fetchall()
        assert [row[0] for row in rows] == [1, 2, 3, 4, 5]
        streamed = list(connection.cursor().stream("select id from app.orders order by id"))
        assert len(streamed) == 5


@pytest.mark.parametrize("binary", [False, True])
def test_a_declared_cursor_gives_what_its_query_may_show(mary: Access, binary: bool) -> None:  # noqa: FBT001
    with psycopg.connect(mary.conninfo) as connection:
        with connection.cursor("people", binary=binary) as cursor:
            cursor.itersize = 2
            cursor.execute("select ssn, pin, born from app.people where id > %s order by id", [0])
            rows = list(cursor)
        assert rows == [("****6789", 0, None), ("****4321", 0, None), (None, 0, None)]
        with connection.cursor("orders", binary=binary, scrollable=True, withhold=True) as held:
            held.execute("select id, region from app.orders order by id")
            assert held.fetchone() == (2, "eu")
            connection.commit()
            held.scroll(1)
            assert held.fetchmany(2) == [(6, "eu"), (8, "eu")]
            held.scroll(0, mode="absolute")
            assert len(held.fetchall()) == 10


def test_a_cursor_is_bounded_as_a_whole(rita: Access) -> None:
    with psycopg.connect(rita.conninfo) as connection, connection.cursor("orders") as cursor:
        cursor.itersize = 2
        cursor.execute("select id from app.orders order by id")
        assert [row[0] for row in cursor] == [1, 2, 3, 4, 5]
        assert cursor.fetchmany(3) == []
    shown = psql(
        rita, "begin", "declare c scroll cursor for select id from app.orders order by id", "fetch 4 from c",
        "move 1 in c", "fetch next from c", "fetch backward all in c", "close c", "fetch c",
    )  # fmt: skip
    assert "1\n2\n3\n4\nMOVE 1\nCLOSE" not in shown
    assert shown.startswith("BEGIN\nDECLARE CURSOR\n1\n2\n3\n4\nMOVE 1\n5\n4\n3\n2\n1\nCLOSE CURSOR\n"), shown
    assert "34000" in shown, "the database says that there is no such cursor"


CURSORS_NOT_KNOWN = [
    ["fetch all from c"],
    ["declare c cursor for select id from app.people; fetch all from c"],
    ["declare c cursor for select id from app.people", "select app.opened()", "fetch all from c"],
    ["select app.opened()", "fetch all from c"],
    ["declare c cursor for select id from app.people", "fetch all from c; select 1"],
    ["declare c cursor for select app.opened()", "fetch all from c"],
]


@pytest.fixture(scope="module")
def ole(cluster: Cluster) -> Access:
    """Somebody who may call functions, of which one opens a cursor named c."""
    cluster.pg.psql(
        """create or replace function app.opened() returns refcursor language plpgsql as
           $$ declare c refcursor := 'c'; begin
              begin close c; exception when others then null; end;
              open c for select ssn from app.people; return c; end $$;
           create or replace function app.opened_early() returns int immutable language plpgsql as
           $$ declare c refcursor := 'c'; begin
              close c; open c for select ssn || '' from app.people; return 1; end $$;
           grant execute on all functions in schema app to mary""",
        "mydb",
    )
    named = {"object_kind": "function", "schema": "app", "name": ["opened", "opened_early"]}
    everything = [
        {"match": {"*": "*"}, "permissions": ["*"]},
        {"match": named, "permissions": ["EXECUTE"]},
    ]
    allowed = {**GRANTED, "db_users": ["mary"], "db_permissions": everything}
    cluster.create(role("calling", "regate/v1", allow=allowed, options={"mask": MASKS}))
    cluster.add_user("ole", "calling")
    return cluster.users["ole"].access("mary", "mydb")


@pytest.mark.parametrize("statements", CURSORS_NOT_KNOWN)
def test_a_cursor_that_may_be_another_s_is_not_read(ole: Access, statements: list[str]) -> None:
    *before, last = [statement.encode() for statement in statements]
    with psycopg.connect(ole.conninfo) as connection:
        for statement in before:
            connection.execute(statement)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(last)


def test_a_permission_for_everything_is_none_for_functions_that_read_past_a_mask(ole: Access) -> None:
    ways = [
        "select query_to_xml('select * from app.people', true, false, '')",
        "select table_to_xml('app.people', true, false, '')",
        "select * from pg_stat_get_activity(null)",
        "select app.other()",
    ]
    with psycopg.connect(ole.conninfo, autocommit=True) as connection:
        for way in ways:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="where something is concealed"):
                connection.execute(way.encode())


def test_a_cursor_that_a_function_opens_when_a_statement_is_bound_is_not_known(ole: Access) -> None:
    async def talk() -> None:
        connection = await _asyncpg(ole)
        try:
            async with connection.transaction():
                await connection.execute("declare c cursor for select id from app.people")
                await connection.cursor("select app.opened_early()")  # bound, and never run
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetch("fetch all from c")
        finally:
            await connection.close()

    asyncio.run(talk())


def test_a_cursor_stays_known_while_nothing_unread_runs(ole: Access) -> None:
    with psycopg.connect(ole.conninfo) as connection:
        connection.execute("declare c cursor for select id, ssn from app.people order by id")
        connection.execute("update app.people set name = 'ann' where id = 1")
        connection.execute("savepoint s")
        connection.execute("set local application_name = 'x'")
        assert connection.execute("fetch 1 from c").fetchall() == [(1, "****6789")]
        assert connection.execute(b"fetch c").fetchall() == [(2, "****4321")]


def test_a_cursor_of_before_a_mask_is_not_read_behind_it(cluster: Cluster) -> None:
    plain = role("later", "regate/v1", allow={**GRANTED, "db_users": ["mary"]})
    cluster.create(plain)
    cluster.add_user("lou", "later")
    access = cluster.users["lou"].access("mary", "mydb")
    with psycopg.connect(access.conninfo) as connection:
        connection.execute("declare c cursor for select ssn from app.people order by id")
        connection.execute("declare d cursor for select id from app.orders order by id")
        assert connection.execute("fetch 1 from c").fetchall() == [("123-45-6789",)]
        cluster.create(plain | {"spec": plain["spec"] | {"options": {"mask": MASKS}}})
        for _ in eventually("the mask is in force"):
            try:
                with connection.transaction():
                    shown = connection.execute("select ssn from app.people where id = 1").fetchone()
            except psycopg.errors.InsufficientPrivilege:
                continue  # between two data revisions
            if shown == ("****6789",):
                break
        assert connection.execute("fetch 1 from d").fetchall() == [(1,)], "nothing of it is concealed"
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="declare it again"):
            connection.execute("fetch 1 from c")


def test_a_bound_holds_for_copy(rita: Access) -> None:
    assert psql(rita, "copy (select id from app.orders order by id) to stdout") == "1\n2\n3\n4\n5\n"
    assert "42501" in psql(rita, "copy app.orders to stdout")


def test_a_statement_that_runs_too_long_is_cancelled(rita: Access) -> None:
    began = time.monotonic()
    shown = psql(rita, "select pg_sleep(20)")
    assert time.monotonic() - began < 15
    assert "57014" in shown
    assert "700 ms" in shown
    with psycopg.connect(rita.conninfo, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select pg_sleep(%s)", [20])
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("set statement_timeout = 0; select pg_sleep(20)")
        assert connection.execute("select 1").fetchone() == (1,)


# -- holds


@pytest.fixture(scope="module")
def hugo(cluster: Cluster) -> Access:
    return cluster.users["hugo"].access("hugo", "mydb")


def _delete(access: Access, answers: Queue[str], *, prepared: bool = True) -> Thread:
    """A DELETE on its way, in a thread; what came of it is put into *answers*."""

    def run() -> None:
        with psycopg.connect(access.conninfo, autocommit=True) as connection:
            try:
                found = connection.execute("delete from app.notes where id = %s", [1], prepare=prepared)
                answers.put(found.statusmessage or "")
            except psycopg.Error as error:
                answers.put(f"{error.sqlstate} {error}")

    thread = Thread(target=run)
    thread.start()
    return thread


def _waiting(cluster: Cluster, who: str = "sue") -> dict[str, Any]:
    for _ in clusters.eventually("a statement waits", seconds=30):
        held = json.loads(_holds(cluster, who, "ls", "--format=json").stdout)
        if held:
            found: dict[str, Any] = held[0]
            return found
    raise AssertionError


def _holds(cluster: Cluster, who: str, *arguments: str, check: bool = True) -> clusters.Done:
    user = cluster.users[who]
    return user.regate("holds", *arguments, f"--proxy={cluster.proxy}", check=check)


def test_a_held_statement_runs_when_a_second_person_agrees(cluster: Cluster, hugo: Access) -> None:
    cluster.pg.psql("create table app.notes (id int); grant all on app.notes to hugo", "mydb")
    answers: Queue[str] = Queue()
    thread = _delete(hugo, answers)
    held = _waiting(cluster)
    assert held["user"] == "hugo"
    assert held["reason"] == "two see more"
    assert "delete from app.notes" in _holds(cluster, "sue", "show", held["id"]).stdout
    own = _holds(cluster, "hugo", "approve", held["id"], check=False)
    assert own.code != 0
    assert "somebody else" in own.said
    assert "let go" in _holds(cluster, "sue", "approve", held["id"]).stdout
    assert answers.get(timeout=20) == "DELETE 0"
    thread.join(20)
    assert _holds(cluster, "sue", "approve", held["id"], check=False).code != 0
    kinds = [each["kind"] for each in cluster.audit("--user=hugo")] + [
        each["kind"] for each in cluster.audit("--user=sue")
    ]
    assert "db.session.hold" in kinds
    assert "hold.answer" in kinds
    approved = [each["fields"].get("approved_by") for each in cluster.audit("--user=hugo")]
    assert "sue" in approved


def test_a_held_statement_is_refused_when_the_second_person_says_no(cluster: Cluster, hugo: Access) -> None:
    answers: Queue[str] = Queue()
    thread = _delete(hugo, answers)
    held = _waiting(cluster)
    assert "refused" in cluster.admin("holds", "deny", held["id"]).stdout
    said = answers.get(timeout=20)
    assert said.startswith("42501")
    assert "did not agree" in said
    thread.join(20)


def test_a_cancel_takes_a_held_statement_back(cluster: Cluster, hugo: Access) -> None:
    with psycopg.connect(hugo.conninfo, autocommit=True) as connection:
        timer = Timer(3, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("delete from app.orders")
        timer.join()
        assert connection.execute("select 1").fetchone() == (1,)
    assert json.loads(cluster.admin("holds", "ls", "--format=json").stdout) == []


def test_nobody_answers_nothing_runs(cluster: Cluster, hugo: Access) -> None:
    shown = psql(hugo, "delete from app.orders")
    assert "42501" in shown
    assert "nobody agreed within 12 s" in shown
    assert cluster.pg.psql("select count(*) from app.orders", "mydb").strip().endswith("20")
