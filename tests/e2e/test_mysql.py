"""MySQL's protocol through the gateway: a real MariaDB, its own programs and the drivers that people use."""

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiomysql
import mysql.connector
import pymysql
import pytest
import yaml
from pymysql.constants import CLIENT, ER

from gateway.protocols.mysql.catalog import COLUMNS, FUNCTIONS, TABLES
from gateway.protocols.mysql.context import TEXT
from tests.e2e.access import Access
from tests.e2e.cluster import Done, eventually, kill_under_load
from tests.e2e.go import client as go
from tests.e2e.jdbc import driver as jdbc
from tests.e2e.mysql_rig import SECRET, SHOP, Rig
from tests.e2e.serving import handed_over
from tests.servers import process

pytestmark = pytest.mark.db

REFUSED = ER.TABLEACCESS_DENIED_ERROR
ITEMS = (("lamp",), ("chair",))


@pytest.fixture(scope="module")
def shop(mysql_shop: Rig) -> Rig:
    return mysql_shop


@pytest.fixture(scope="module")
def ann(shop: Rig) -> Iterator[Access]:
    with shop.cluster.users["ann"].tunnel("alice", "shop", SHOP) as access:
        yield access


@pytest.fixture(scope="module")
def bob(shop: Rig) -> Iterator[Access]:
    with shop.cluster.users["bob"].tunnel("alice", "shop", SHOP) as access:
        yield access


def connect(access: Access, **more: Any) -> "pymysql.Connection[Any]":
    return pymysql.connect(
        host=access.host, port=access.port, user="alice", password="ignored", database="shop",
        read_timeout=60, **more,
    )  # fmt: skip


def ask(connection: "pymysql.Connection[Any]", statement: str, *values: object) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return tuple(cursor.fetchall())


def native(rig: Rig, user: str) -> dict[str, str]:
    """The files of somebody who comes without a tunnel."""
    said = rig.cluster.users[user].regate(
        "db", "config", "--db-user=alice", "--db-name=shop", SHOP, "--format=json"
    )
    values: dict[str, str] = json.loads(said.stdout)
    return values


def run(rig: Rig, user: str, statement: str) -> Done:
    """``regate db connect`` with one statement."""
    return rig.cluster.users[user].regate(
        "db", "connect", "--db-user=alice", "--db-name=shop", SHOP, "--", "-B", "-N", "-e", statement,
        check=False,
    )  # fmt: skip


def test_a_statement_is_judged_recorded_and_answered(shop: Rig) -> None:
    done = run(shop, "ann", "select item, total from orders order by id")
    assert (done.code, done.stdout) == (0, "lamp\t20.00\nchair\t45.50\n")
    ends = shop.cluster.audit("--user=ann", "--kind=db.session.query.end")
    assert [(item["fields"]["rows"], item["fields"]["error_code"]) for item in ends] == [(2, "")]
    (over,) = shop.cluster.audit("--user=ann", "--kind=db.session.end")
    assert over["fields"]["reason"] == "client_closed"
    done = shop.cluster.users["ann"].regate(
        "db",
        "exec",
        "--db-user=alice",
        "--db-name=shop",
        f"--dbs={SHOP}",
        "select item from orders where id = 1",
    )
    assert "lamp" in done.stdout


def test_a_statement_that_nobody_granted_is_refused_and_recorded(shop: Rig) -> None:
    done = run(shop, "bob", "select * from salaries")
    assert done.code == 1
    assert "ERROR 1142 (42000)" in done.stderr
    (denied,) = shop.cluster.audit("--user=bob", "--kind=db.session.denied")
    assert denied["fields"]["decision_id"] in done.stderr
    assert not any("salaries" in each.text for each in shop.server.log())


def test_a_refusal_leaves_the_connection_and_its_transaction(ann: Access, bob: Access) -> None:
    with connect(bob) as connection:
        connection.begin()
        with pytest.raises(pymysql.err.OperationalError) as caught:
            ask(connection, "select who from salaries")
        assert caught.value.args[0] == REFUSED
        assert ask(connection, "select item from orders where id = %s", 1) == (("lamp",),)
        with pytest.raises(pymysql.err.OperationalError):
            ask(connection, "select item from orders; select who from salaries")
        assert ask(connection, "select @@in_transaction") == ((1,),)
    with connect(ann) as connection:
        assert ask(connection, "select count(*) from orders") == ((2,),)


def test_several_statements_in_one_text_come_back_as_several_results(ann: Access) -> None:
    with connect(ann, client_flag=CLIENT.MULTI_STATEMENTS) as connection, connection.cursor() as cursor:
        cursor.execute("select 1; update orders set total = total where id = 1; select item from orders")
        found = [tuple(cursor.fetchall())]
        while cursor.nextset():
            found.append(tuple(cursor.fetchall()))
    assert found == [((1,),), (), ITEMS]


def test_long_values_and_long_results_pass(ann: Access) -> None:
    with connect(ann, max_allowed_packet=64 << 20) as connection:
        ask(connection, "create table big (id int, b longblob)")
        ask(connection, "insert into big values (1, %s)", "x" * 20_000_000)
        ((size, value),) = ask(connection, "select length(b), b from big")
        ask(connection, "drop table big")
    assert (size, len(value)) == (20_000_000, 20_000_000)
    with connect(ann, cursorclass=pymysql.cursors.SSCursor) as connection, connection.cursor() as cursor:
        cursor.execute("select seq, repeat('y', 100) from seq_1_to_50000")
        assert sum(1 for _ in cursor) == 50_000


def test_statements_are_prepared_run_and_reset(ann: Access, bob: Access, shop: Rig) -> None:
    with mysql.connector.connect(
        host=ann.host, port=ann.port, user="alice", database="shop", use_pure=True
    ) as connection:
        cursor = connection.cursor(prepared=True)
        for number, item in ((1, "lamp"), (2, "chair")):
            cursor.execute("select item from orders where id = %s", (number,))
            assert cursor.fetchall() == [(item,)]
        cursor.close()
        connection.cmd_reset_connection()
        connection.ping()
        with pytest.raises(mysql.connector.Error) as caught:
            connection.cmd_change_user("root", "", "shop")
        assert caught.value.errno == 1047
    with mysql.connector.connect(
        host=bob.host, port=bob.port, user="alice", database="shop", use_pure=True
    ) as connection:
        with pytest.raises(mysql.connector.Error) as caught:
            connection.cursor(prepared=True).execute("select who from salaries where who = %s", ("ada",))
        assert caught.value.errno == REFUSED
        cursor = connection.cursor()
        cursor.execute("select count(*) from orders")
        assert cursor.fetchall() == [(2,)]
    ran = shop.cluster.audit("--user=ann", "--kind=db.session.query")
    assert sum("select item from orders where id = ?" in item["fields"]["statement"] for item in ran) == 2


def test_an_asyncio_client_is_served(ann: Access) -> None:
    async def asked() -> tuple[Any, ...]:
        connection = await aiomysql.connect(
            host=ann.host, port=ann.port, user="alice", password="ignored", db="shop"
        )
        cursor = await connection.cursor()
        await cursor.execute("select item from orders order by id")
        found = tuple(await cursor.fetchall())
        connection.close()
        return found

    assert asyncio.run(asked()) == ITEMS


JDBC = [
    "jdbc:mysql://{at}/shop?user=alice&sslMode=DISABLED",
    (
        "jdbc:mysql://{at}/shop?user=alice&sslMode=DISABLED&useServerPrepStmts=true&useCursorFetch=true"
        "&defaultFetchSize=1&allowMultiQueries=true"
    ),
    "jdbc:mariadb://{at}/shop?user=alice&sslMode=disable&useServerPrepStmts=true",
]


@pytest.mark.parametrize("address", JDBC)
def test_both_jdbc_drivers_are_served_and_refused(bob: Access, address: str) -> None:
    answers = jdbc.session(
        address.format(at=f"{bob.host}:{bob.port}"),
        [
            "autocommit off",
            "bind 3 select item, total from orders where id = ?",
            "bind 2 select who from salaries where amount = ?",
            "run select count(*) from orders",
            "commit",
        ],
    )
    assert [answer.rows for answer in answers] == ["", "lamp|20.00;chair|45.50;", "", "2", ""]
    assert [answer.state for answer in answers] == ["", "", "42000", "", ""]
    assert "no role grants select table shop.salaries" in answers[2].message


GO = [
    "bind 2 select item, total from orders where id = ?",
    "run select who from salaries",
    "bind 1 select who from salaries where amount = ?",
    "run select count(*) from orders",
]


@pytest.mark.parametrize("way", ["through the tunnel", "natively", "natively, its values in the text"])
def test_the_driver_of_go_is_served_and_refused(shop: Rig, bob: Access, way: str) -> None:
    if way == "through the tunnel":
        answers = go.session(f"alice:ignored@tcp({bob.host}:{bob.port})/shop", GO)
    else:
        found = native(shop, "bob")
        files = {name.upper(): Path(found[name]) for name in ("ca", "cert", "key")}
        more = "&interpolateParams=true" if "values" in way else ""
        answers = go.session(f"alice@tcp(localhost:{shop.port})/shop?tls=files{more}", GO, files)
    assert [answer.rows for answer in answers] == ["lamp|20.00;chair|45.50", "", "", "2"]
    assert [answer.number for answer in answers] == [0, REFUSED, REFUSED, 0]
    assert "no role grants select table shop.salaries" in answers[2].message


def test_a_batch_is_one_command_and_judged_and_recorded_as_one(shop: Rig, ann: Access, bob: Access) -> None:
    bulk = "jdbc:mariadb://{at}/shop?user=alice&sslMode=disable&useServerPrepStmts=true&useBulkStmts=true"
    answers = jdbc.session(
        bulk.format(at=f"{ann.host}:{ann.port}"),
        [
            "run create table filled (id int primary key)",
            "batch 100 insert into filled values (?)",
            "run select count(*), sum(id) from filled",
            "batch 2 insert into filled values (?)",
            "run select 1",
        ],
    )
    assert [answer.rows for answer in answers] == ["", "100", "100|5050", "", "1"]
    assert answers[3].state == "23000", "the server's own error"
    (refused,) = jdbc.session(
        bulk.format(at=f"{bob.host}:{bob.port}"), ["batch 9 insert into filled values (?)"]
    )
    assert refused.state == "42000"
    assert shop.server.ask("select count(*) from filled", "shop").strip() == "100"
    ran = [
        item["fields"]
        for item in shop.cluster.audit("--user=ann", "--kind=db.session.query")
        if item["fields"]["statement"] == "insert into filled values (?)"
    ]
    assert [(fields["phase"], fields["parameters"]) for fields in ran] == [
        ("execute", {"count": 1, "types": ["int"], "sets": sets}) for sets in (100, 2)
    ]


def test_how_the_server_reads_statements_is_followed(ann: Access, shop: Rig) -> None:
    with connect(ann) as connection:
        ask(connection, "set session sql_mode = 'ANSI_QUOTES'")
        assert ask(connection, 'select "item" from "orders" where id = 1') == (("lamp",),)
        ask(connection, "use information_schema")
        ask(connection, "select table_name from tables limit 1")
    found = [
        item["fields"]
        for item in shop.cluster.audit("--user=ann", "--kind=db.session.query")
        if item["fields"]["statement"]
        in {'select "item" from "orders" where id = 1', "select table_name from tables limit 1"}
    ]
    assert [fields["complete"] for fields in found] == [True, True]
    touched = [effect["object"] for fields in found for effect in fields["effects"] if effect["object"]]
    assert {(thing["schema"], thing["name"]) for thing in touched} == {
        ("shop", "orders"),
        ("information_schema", "tables"),
    }


def test_clients_come_without_a_tunnel_with_their_certificate(shop: Rig) -> None:
    files = native(shop, "ann")
    tls = {"ca": files["ca"], "cert": files["cert"], "key": files["key"], "check_hostname": True}
    with pymysql.connect(
        host="localhost", port=shop.port, user="alice", database="shop", ssl=tls
    ) as connection:
        assert "10.11" in connection.get_server_info()
        assert ask(connection, "select item from orders order by id") == ITEMS
    with mysql.connector.connect(
        host="localhost", port=shop.port, user="alice", database="shop", use_pure=True,
        ssl_ca=files["ca"], ssl_cert=files["cert"], ssl_key=files["key"],
        ssl_verify_cert=True, ssl_verify_identity=True,
    ) as connector:  # fmt: skip
        cursor = connector.cursor()
        cursor.execute("select 1")
        assert cursor.fetchall() == [(1,)]
    done = cli(shop, f"--ssl-cert={files['cert']}", f"--ssl-key={files['key']}", f"--ssl-ca={files['ca']}")
    assert done.stdout == "1\n"


def test_whoever_comes_natively_is_served_by_all_workers(shop: Rig) -> None:
    files = native(shop, "ann")
    tls = {"ca": files["ca"], "cert": files["cert"], "key": files["key"]}
    to = {"host": "localhost", "port": shop.port, "user": "alice", "database": "shop", "ssl": tls}
    with ExitStack() as stack:
        for _ in range(20):  # one that others have just left is busier than it seems, but not for long
            connection = stack.enter_context(pymysql.connect(**to))
            assert ask(connection, "select 1") == ((1,),)
            if min(handed_over(shop.cluster, shop.port)) >= 1:
                break
        else:
            pytest.fail("one worker got all of them")


def test_what_is_printed_for_the_servers_own_programs_works_as_typed(shop: Rig, tmp_path: Path) -> None:
    route = ("--db-user=alice", "--db-name=shop", SHOP)
    ann = shop.cluster.users["ann"]
    (typed,) = re.findall(r"^Command: +(.*)$", ann.regate("db", "config", *route).stdout, re.MULTILINE)
    assert shell(f"{typed} -N -B -e 'select item from orders where id = 1'") == "lamp\n"
    printed = ann.regate("db", "env", *route).stdout
    assert shell(f"{printed}mariadb -N -B -e 'select item from orders where id = 2'") == "chair\n"
    assert "'lamp'" in shell(f"{printed}mariadb-dump --skip-lock-tables shop orders")
    server = process.start(
        "port",
        [shop.cluster.executable, "proxy", "db", "--format=json", *route],
        log=tmp_path / "port.log",
        directory=ann.home,
        environment=shop.cluster.environment(ann.home),
        as_unprivileged=False,
    )
    try:
        server.wait_until(lambda: "client" in (tmp_path / "port.log").read_text(), seconds=30)
        typed = re.findall(r'"client": "(.*)"', (tmp_path / "port.log").read_text())[0]
        assert shell(f"{typed} -N -B -e 'select item from orders where id = 1'") == "lamp\n"
    finally:
        server.stop()


def shell(typed: str) -> str:
    done = subprocess.run(["sh", "-e", "-c", typed], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(("charset", "number"), [("latin1", 8), ("utf8mb4", 255), ("utf8mb3", 33)])
def test_clients_come_with_the_character_set_of_their_time(
    shop: Rig, charset: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What clients of 5.5, 8.0 and 5.7 say first. MariaDB takes its own collation where it knows none."""
    known = pymysql.charset.charset_by_name(charset)
    said = pymysql.charset.Charset(number, charset, known.collation, known.is_default)
    monkeypatch.setattr(pymysql.connections, "charset_by_name", lambda _name: said)
    files = native(shop, "ann")
    tls = {"ca": files["ca"], "cert": files["cert"], "key": files["key"], "check_hostname": True}
    with pymysql.connect(
        host="localhost", port=shop.port, user="alice", database="shop", ssl=tls, charset=charset
    ) as connection:
        asked = f"select hex(convert('é' using utf8mb4)), 'é', {number}"
        assert ask(connection, asked) == (("C3A9", "é", number),)
    ran = shop.cluster.audit("--user=ann", "--kind=db.session.query")
    assert asked in [item["fields"]["statement"] for item in ran]


def test_a_character_set_that_text_is_not_read_in_is_refused_with_what_to_do(shop: Rig) -> None:
    files = native(shop, "ann")
    own = [f"--ssl-{name}={files[name]}" for name in ("ca", "cert", "key")]
    done = cli(shop, *own, "--default-character-set=swe7")
    assert done.returncode == 1
    assert "connect with character set utf8mb4" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--skip-ssl"], "this port needs TLS"), (["--ssl"], "run `regate db login` first")],
)
def test_whoever_shows_no_certificate_is_told_why(shop: Rig, arguments: list[str], told: str) -> None:
    done = cli(shop, *arguments)
    assert done.returncode == 1
    assert "ERROR 1045 (28000)" in done.stderr
    assert told in done.stderr


def cli(rig: Rig, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [
            "mariadb", "--no-defaults", "--host=localhost", f"--port={rig.port}", "--protocol=tcp",
            "--user=alice", *arguments, "-N", "-B", "--execute=select 1", "shop",
        ],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("account", ["keeper", "signer"])
def test_the_gateway_keeps_the_password_of_an_account_that_has_one(shop: Rig, account: str) -> None:
    with (
        shop.cluster.users["ann"].tunnel(account, "shop", "shop-keeper") as access,
        pymysql.connect(host=access.host, port=access.port, user=account, database="shop") as connection,
    ):
        assert ask(connection, "select current_user()") == ((f"{account}@%",),)
    assert SECRET not in str(shop.cluster.audit()) + shop.cluster.server_log()


def test_the_page_works_as_it_is_typed(shop: Rig) -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocols" / "mysql.md").read_text()
    (sql,), (resource,) = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL) for kind in ("sql", "yaml"))
    commands = re.findall(r"^\$ (regate .*)$", page, re.MULTILINE)
    assert [command.split()[1] for command in commands] == ["auth", "create", "db", "db"]
    shop.server.ask(sql.replace("alice", "reader"))
    folder = shop.cluster.folder / "admin"
    here = resource.replace("db.example.com:3306", shop.server.uri).replace("name: shop", "name: store")
    (folder / "shop.yaml").write_text(here)
    for command in commands[:2]:
        shop.cluster.admin(*shlex.split(command)[1:])
    assert sorted(path.name for path in folder.glob("server.*")) == ["server.cas", "server.crt", "server.key"]
    for command, more in ((commands[2], ["--", "-e", "select 1"]), (commands[3], [])):
        typed = (
            command.replace("alice", "reader")
            .replace("=shop shop", "=shop store")
            .replace("dbs=shop", "dbs=store")
        )
        assert "1\n1\n" in shop.cluster.users["ann"].regate(*shlex.split(typed)[1:], *more).stdout


def test_a_corpus_is_sent_through_sessions_of_ones_own(shop: Rig, tmp_path: Path) -> None:
    texts = {
        "ATTACK": ("select who from salaries", "deny"),
        "SECOND": ("select 1; delete from orders", "deny"),
        "CONTROL": ("select item from orders", "parse"),
        "OWN-ERROR": ("select item from orders where id = (select id from orders)", "parse"),
        "PASSES": ("select item from orders where id = 1", "deny"),
    }
    entries = [
        {"id": name, "protocol": "mysql", "kind": "sql", "payload": text, "must": must}
        for name, (text, must) in texts.items()
    ]
    file = tmp_path / "corpus.yaml"
    file.write_text(yaml.safe_dump([*entries, {**entries[0], "id": "WIRE", "kind": "wire", "encoding": "hex",
                                               "payload": "00"}]))  # fmt: skip
    way = ("--db-user=alice", "--db-name=shop", "--format=json")
    done = shop.cluster.users["bob"].regate(
        "policy", "corpus", str(file), f"--live={SHOP}", *way, check=False
    )
    assert done.code == 1, done.said
    said = json.loads(done.stdout)
    assert said["summary"]["mysql"] == {"judged": 5, "as_they_must": 4, "otherwise": 1, "not_judged": 1}
    came = {item["id"]: item["came_out"] for item in (*said["as_they_must"], *said["otherwise"])}
    assert came == {"ATTACK": "denied", "SECOND": "denied", "CONTROL": "allowed", "OWN-ERROR": "allowed",
                    "PASSES": "allowed"}  # fmt: skip
    file.write_text(yaml.safe_dump([{**entries[0], "payload": "delete from orders"}]))
    done = shop.cluster.users["ann"].regate(
        "policy", "corpus", str(file), f"--live={SHOP}", *way, check=False
    )
    assert (done.code, "it was allowed" in done.stdout) == (1, True)
    assert shop.server.ask("select count(*) from shop.orders").strip() == "2"


def test_a_dump_is_made_and_read_back_by_whoever_may_do_everything(ann: Access) -> None:
    where = [f"--host={ann.host}", f"--port={ann.port}", "--protocol=tcp", "--user=alice"]
    dumped = subprocess.run(
        ["mariadb-dump", "--no-defaults", *where, "--routines", "--triggers", "--events", "shop"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    assert "'lamp'" in dumped
    subprocess.run(
        ["mariadb", "--no-defaults", *where, "shop"], input=dumped, text=True, check=True, timeout=60
    )
    with connect(ann) as connection:
        assert ask(connection, "select item from orders order by id") == ITEMS


def test_a_statement_that_takes_too_long_is_stopped_at_the_server(shop: Rig) -> None:
    with shop.cluster.users["cho"].tunnel("alice", "shop", SHOP) as access, connect(access) as connection:
        start = time.monotonic()
        with pytest.raises(pymysql.err.MySQLError) as caught:
            ask(
                connection,
                "select count(*) from seq_1_to_1000000 a, seq_1_to_1000000 b where a.seq * b.seq = 7",
            )
        assert time.monotonic() - start < 20
        assert "1500 ms" in str(caught.value)
        assert "decision" in str(caught.value)
        assert ask(connection, "select 1") == ((1,),)


def test_what_runs_is_stopped_when_a_lock_ends_its_session(shop: Rig) -> None:
    lock = {"kind": "lock", "version": "v2", "metadata": {"name": "incident"}}
    dee = shop.cluster.users["dee"]
    with (
        dee.tunnel("alice", "shop", SHOP) as access,
        connect(access) as connection,
        ThreadPoolExecutor() as pool,
    ):
        running = pool.submit(ask, connection, "select sleep(1000), 'locked away'")
        for _ in eventually("the statement runs"):
            if sleepers(shop):
                break
        shop.cluster.create({**lock, "spec": {"target": {"user": "dee"}, "message": "incident 12"}})
        try:
            with pytest.raises(pymysql.err.MySQLError):
                running.result(30)
            for _ in eventually("the statement is gone from the server"):
                if not sleepers(shop):
                    break
        finally:
            shop.cluster.admin("rm", "lock/incident")


def sleepers(rig: Rig) -> bool:
    return "locked away" in rig.server.ask(
        "select info from information_schema.processlist where id <> connection_id()"
    )


def test_without_its_policy_engine_everything_is_refused_and_later_allowed_again(
    shop: Rig, ann: Access
) -> None:
    with connect(ann) as connection:
        first = shop.cluster.opa_pid()
        process.suspend(first)
        with pytest.raises(pymysql.err.OperationalError) as caught:
            ask(connection, "select 'while it hangs'")
        assert caught.value.args[0] == REFUSED
        os.kill(first, signal.SIGKILL)
        for _ in eventually("a new OPA answers", seconds=30):
            try:
                assert ask(connection, "select 'after'") == (("after",),)
                break
            except pymysql.err.OperationalError:
                continue
    assert not [each for each in shop.server.log() if "while it hangs" in each.text]


def test_no_statement_of_a_gateway_that_dies_is_missing_from_the_audit(shop: Rig) -> None:
    """Last in the file: the gateway is started anew."""
    files = native(shop, "ann")
    tls = {"ca": files["ca"], "cert": files["cert"], "key": files["key"]}

    def load(number: int) -> None:
        try:
            with pymysql.connect(
                host="localhost", port=shop.port, user="alice", database="shop", ssl=tls
            ) as connection:
                for step in range(100_000):
                    ask(connection, f"select {number * 100_000 + step} as loaded")
        except (pymysql.err.MySQLError, OSError):
            pass

    kill_under_load(shop.cluster, load, lambda: sum(loaded(shop).values()) > 300)
    served = loaded(shop)
    shop.cluster.start()
    recorded = Counter(
        item["fields"]["statement"] for item in shop.cluster.audit("--user=ann", "--kind=db.session.query")
    )
    assert served - recorded == Counter()
    own = {each.text for each in shop.server.log() if each.kind == "Query" and "/* regate */" in each.text}
    assert own <= {TEXT, TABLES, COLUMNS, FUNCTIONS}, "the gateway asks the database nothing else by itself"
    assert shop.cluster.admin("audit", "verify").code == 0


def loaded(rig: Rig) -> Counter[str]:
    return Counter(each.text for each in rig.server.log() if each.text.endswith("as loaded"))
