"""Real clients through the conversation: what drivers do must work, and their refusals must look native."""

import asyncio
import select
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pg8000.native
import psycopg
import pytest

from gateway.model.identity import Route
from gateway.protocols.postgres import POSTGRES
from gateway.sansio.protocol import Hello
from tests.protocols.postgres.engine import Engine, Judge, by_text, connect, drive
from tests.servers.postgres import Postgres

pytestmark = pytest.mark.db


class Gate:
    """A listener that puts each client through accept, login and converse, a thread for each."""

    def __init__(self, server: Postgres, judge: Judge) -> None:
        self._server = server
        self._judge = judge
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.engines: list[Engine] = []
        self.failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._guarded, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _guarded(self, client: socket.socket) -> None:
        try:
            with client:
                self._serve(client)
        except OSError:
            pass  # the client left
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.failures.append(error)

    def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        startup = drive(POSTGRES.accept(Hello(encrypted=False, tls_required=False)), client)
        route = Route("test", "postgres", "alice", "mydb")
        engine = connect(("127.0.0.1", self._server.port), startup, route)
        engine.judge = self._judge
        engine.deliver = client.sendall
        self.engines.append(engine)
        client.sendall(POSTGRES.greet(startup, engine.ready, POSTGRES.new_cancel_key(startup)))

        self._both(engine, client)
        engine.close()

    def _both(self, engine: Engine, client: socket.socket) -> None:
        while True:
            ready, _, _ = select.select([client, engine.backend], [], [], 30)
            assert ready, "nothing happens any more"
            if engine.backend in ready:
                if not engine.backend_sends(0):
                    return
                continue
            data = client.recv(1 << 16)
            if not data:
                return
            engine.client_sends(data)

    def close(self) -> None:
        self._listener.close()
        for thread in self._threads[1:]:
            thread.join(5)


Through = Callable[..., Gate]


@pytest.fixture
def through(server: Postgres) -> Iterator[Through]:
    gates: list[Gate] = []

    def make(judge: Judge = by_text) -> Gate:
        gates.append(Gate(server, judge))
        return gates[-1]

    yield make
    for gate in gates:
        gate.close()
        assert gate.failures == []


def dsn(gate: Gate) -> str:
    return f"host=127.0.0.1 port={gate.port} user=alice dbname=mydb sslmode=disable gssencmode=disable"


def test_psycopg_runs_simple_and_prepared_statements(through: Through) -> None:
    gate = through()
    with psycopg.connect(dsn(gate), prepare_threshold=2) as connection:
        for n in range(8):
            row = connection.execute("select amount from app.orders where id = %s", [n + 1]).fetchone()
            assert row is not None
            assert row[0] == n + 1
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="the test says no"):
            connection.execute("select 'denied'")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("select 1")
        connection.rollback()
        connection.execute("deallocate all")
        assert connection.execute("select 1").fetchone() == (1,)


def test_psycopg_pipelines_with_a_refusal_in_the_middle(through: Through) -> None:
    gate = through()
    with psycopg.connect(dsn(gate), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.pipeline():  # noqa: PT012
            first = connection.execute("insert into app.loaded values ('p', 'pipeline')")
            connection.execute("select 'denied'")
            connection.execute("insert into app.loaded values ('q', 'pipeline')")
            assert first.rowcount
        row = connection.execute("select count(*) from app.loaded where b = 'pipeline'").fetchone()
        assert row == (0,)
        with connection.pipeline():
            cursors = [connection.execute("select %s::int", [n]) for n in range(300)]
        assert [cursor.fetchone() for cursor in cursors] == [(n,) for n in range(300)]


def test_psycopg_copies_both_ways(through: Through) -> None:
    gate = through()
    with psycopg.connect(dsn(gate)) as connection, connection.cursor() as cursor:
        with cursor.copy("copy app.loaded from stdin") as copy:
            for n in range(20_000):
                copy.write_row((str(n), "copied by psycopg"))
        with cursor.copy("copy (select a from app.loaded where b like %s) to stdout", ["%psycopg"]) as copy:
            assert sum(1 for _ in copy.rows()) == 20_000
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            cursor.copy("copy app.loaded from stdin -- denied") as copy,
        ):
            copy.write_row(("x", "y"))
        connection.rollback()
        with (
            pytest.raises(psycopg.errors.BadCopyFileFormat),
            cursor.copy("copy app.loaded from stdin") as copy,
        ):
            copy.write(b"one column only\n" * 2_000)
        connection.rollback()
        assert connection.execute("select 1").fetchone() == (1,)


def test_psycopg_s_server_cursors_and_notifications(through: Through) -> None:
    gate = through(lambda *_: True)
    with psycopg.connect(dsn(gate)) as connection:
        with connection.cursor("many") as cursor:
            cursor.itersize = 100
            cursor.execute("select * from generate_series(1, 1000)")
            assert sum(1 for _ in cursor) == 1000
        connection.execute("listen news")
        connection.commit()
        connection.execute("notify news, 'hello'")
        connection.commit()
        notes = connection.notifies(timeout=60, stop_after=1)
        assert [note.payload for note in notes] == ["hello"]


async def test_asyncpg_prepares_copies_and_sees_a_native_refusal(through: Through) -> None:
    gate = through()
    connection = await asyncio.wait_for(
        asyncpg.connect(host="127.0.0.1", port=gate.port, user="alice", database="mydb", ssl=False), 20
    )
    assert await connection.fetchval("select $1::int + 1", 41) == 42
    await connection.executemany(
        "insert into app.loaded values ($1, 'asyncpg')", [(str(n),) for n in range(50)]
    )
    assert await connection.fetchval("select count(*) from app.loaded where b = 'asyncpg'") == 50
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="the test says no"):
        await connection.fetch("select 'denied' where $1 = 1", 1)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("select 'denied'")
    async with connection.transaction():
        cursor = await connection.cursor("select * from generate_series(1, 100)")
        assert len(await cursor.fetch(60)) == 60
        assert len(await cursor.fetch(60)) == 40
    result = await connection.copy_records_to_table(
        "loaded", schema_name="app", records=[("1", "records")] * 1000
    )
    assert result == "COPY 1000"
    await connection.close()


def test_pg8000_runs_and_is_refused(through: Through) -> None:
    gate = through()
    connection = pg8000.native.Connection(
        "alice", host="127.0.0.1", port=gate.port, database="mydb", ssl_context=False
    )
    assert connection.run("select id from app.orders where id = :n", n=3) == [[3]]
    with pytest.raises(pg8000.exceptions.DatabaseError, match="42501"):
        connection.run("select 'denied'")
    assert connection.run("select 1") == [[1]]
    connection.close()


def run(server: Postgres, gate: Gate, *arguments: str, sql: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        input=sql,
        env={"PGHOST": "127.0.0.1", "PGPORT": str(gate.port), "PGUSER": "alice", "PGDATABASE": "mydb",
             "PGSSLMODE": "disable", "PGGSSENCMODE": "disable", "PATH": f"{server.programs}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )  # fmt: skip


def test_psql_shows_a_refusal_without_a_caret_and_goes_on(server: Postgres, through: Through) -> None:
    done = run(
        server, through(), "psql", "-X", "-At",
        sql="select 'denied';\nselect 1;\n\\copy app.orders (id) to '/dev/null'\n"
        "select 2 \\gdesc\nselect 3;\n",
    )  # fmt: skip
    assert done.stdout.splitlines() == ["1", "COPY 10", "?column?|integer", "3"]
    assert done.stderr.startswith("ERROR:  the test says no (decision ")
    assert "gateway_denied" not in done.stderr
    assert "^" not in done.stderr


def test_psql_describes_and_switches_paths(server: Postgres, through: Through) -> None:
    done = run(
        server, through(lambda *_: True), "psql", "-X", "-At",
        sql="set search_path = app;\n\\d orders\n\\dt\n\\df app.*\n\\dn\n\\l\nselect count(*) from orders;\n",
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "10"


def test_pg_dump_dumps(server: Postgres, through: Through, tmp_path: Path) -> None:
    target = tmp_path / "dump.sql"
    done = run(server, through(lambda *_: True), "pg_dump", "-f", str(target), "-t", "app.orders")
    assert done.stderr == ""
    assert "COPY app.orders" in target.read_text()


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench_runs_in_every_mode(server: Postgres, through: Through, mode: str) -> None:
    gate = through(lambda *_: True)
    made = run(server, gate, "pgbench", "-i", "-q", "-I", "dtgp", "-s", "1")
    assert made.returncode == 0, made.stderr
    done = run(server, gate, "pgbench", "-M", mode, "-c", "2", "-t", "60", "-n")
    assert "number of transactions actually processed: 120/120" in done.stdout, done.stderr
    outcomes = [outcome for engine in gate.engines for outcome in engine.outcomes]
    assert all(outcome.error_code == "" and outcome.executed for outcome in outcomes)


def test_every_admitted_record_gets_exactly_one_outcome(server: Postgres, through: Through) -> None:
    gate = through()
    with psycopg.connect(dsn(gate), autocommit=True, prepare_threshold=1) as connection:
        for n in range(20):
            connection.execute("select %s::int", [n])
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("select 1/0")
    gate.close()
    (engine,) = gate.engines
    recorded = [request for request in engine.requests if request.covered_by is None]
    assert [outcome.request for outcome in engine.outcomes] == recorded
    assert [outcome.error_code for outcome in engine.outcomes if outcome.error_code] == ["22012"]
