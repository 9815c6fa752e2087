"""What goes wrong with a policy that is in force: each row a refusal, and an alarm for whoever watches."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import redis
from pymongo.errors import PyMongoError

from gateway.audit.read import Query, records
from gateway.model.event import Kind
from gateway.policy import answer, signing
from tests.e2e import caches, mongo_rig, mysql_rig
from tests.e2e import cluster as clusters
from tests.e2e.cluster import Cluster, children, eventually, wide_role
from tests.e2e.conftest import furnish
from tests.servers import ferretdb, mariadb
from tests.servers import redis as redis_server
from tests.servers.process import suspend, temporary_folder

pytestmark = pytest.mark.db

# What no trial before publishing can find: it goes wrong for one table's name alone.
TRAPS = """package gateway.guards.traps.traps

_touched contains effect.object.name if {
	some statement in input.request.statements
	some effect in statement.effects
}

obligations contains {"unheard_of": true} if "strange" in _touched

_either := 1 if "torn" in _touched

_either := 2 if "torn" in _touched

deny contains {"code": "torn"} if _either == 3

deny contains {"code": "slow"} if {
	"slow" in _touched
	span := numbers.range(1, 3000)
	count([1 | some a in span; some b in span; a * b == 7 - b]) == -1
}

deny contains {"code": "refused_by_the_guard"} if "refused" in _touched
"""
REFUSED = "the policy engine"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with temporary_folder("regate-") as folder:
        key = signing.new_key()
        (folder / "team.pem").write_bytes(signing.public_pem(key))
        (folder / "team.key").write_bytes(signing.private_pem(key))
        policy = {"keys": [str(folder / "team.pem")], "limit_ms": 200}
        with clusters.running(folder, policy=policy, opa={"deadline_ms": 250}) as running:
            furnish(running)
            running.admin("policy", "init", str(folder / "ours"))
            for name in ("strange", "torn", "slow", "refused"):
                running.pg.psql(f"create table app.{name} (id int); grant all on app.{name} to alice", "mydb")
            yield running


@pytest.fixture(scope="module")
def trapped(cluster: Cluster) -> Cluster:
    done = publish(cluster, "traps", "traps", TRAPS)
    assert done.code == 0, done.stderr
    return cluster


def publish(cluster: Cluster, category: str, name: str, text: str, *more: str) -> clusters.Done:
    """Publish the repository with one guard in it; what it has no tests for, it is sent without."""
    ours = cluster.folder / "ours"
    folder = ours / "guards" / category / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.rego").write_text(text)
    highest = json.loads(cluster.admin("policy", "status", "--format=json").stdout)["highest"]
    out = cluster.folder / "bundle.tar.gz"
    key = f"--key={cluster.folder / 'team.key'}"
    built = cluster.admin(
        "policy", "build", str(ours), f"--number={highest + 1}", f"--output={out}", key, check=False
    )
    if built.code != 0:
        return built
    return cluster.admin("policy", "publish", f"--bundle={out}", *more, check=False)


@contextmanager
def session(cluster: Cluster) -> Iterator[psycopg.Connection]:
    with psycopg.connect(
        cluster.users["alice"].access("alice", "mydb").conninfo, autocommit=True
    ) as connection:
        yield connection


def alarms(cluster: Cluster) -> list[dict[str, Any]]:
    kept = records(cluster.folder / "data" / "audit", Query(kinds=(Kind.POLICY_ALARM,), oldest_first=True))
    return [dict(record.event.fields) for record in kept]


def until_alarmed(cluster: Cluster, message: str) -> dict[str, Any]:
    for _ in eventually(f"an alarm that says: {message}", seconds=20):
        found = [alarm for alarm in alarms(cluster) if alarm["message"] == message]
        if found:
            return found[-1]
    raise AssertionError


TABLES = ("orders", "strange", "torn", "slow", "refused")
ROWS = {
    "an obligation that nobody knows": ("strange", answer.INVALID.message),
    "a rule with two values": ("torn", answer.INVALID.message),
    "an answer that takes too long": ("slow", answer.TIMEOUT.message),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_policy_that_goes_wrong_for_one_table_refuses_it_alone(row: str, trapped: Cluster) -> None:
    table, message = ROWS[row]
    with session(trapped) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=message):
            connection.execute(f"select * from app.{table}")
        for _ in eventually(
            "others are answered", seconds=20
        ):  # an OPA that still counts is busy for a while
            try:
                assert connection.execute("select count(*) from app.orders").fetchone() == (3,)
                break
            except psycopg.errors.InsufficientPrivilege:
                continue
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from app.refused")
    alarm = until_alarmed(trapped, message)
    revision = json.loads(trapped.admin("policy", "status", "--format=json").stdout)["revision"]
    assert (alarm["reason"], alarm["policy_revision"]) == ("policy_unavailable", revision)
    assert alarm["refused"] >= 1
    logged = [statement.text for statement in trapped.pg.statements()]
    assert not [text for text in logged if f"from app.{table}" in text]


@pytest.fixture(scope="module")
def others(trapped: Cluster) -> Iterator[dict[str, Callable[[str], str]]]:
    """For each of the other protocols: what a read of the table, collection or key of that name is told."""
    out, ca = trapped.folder / "others", trapped.folder / "others-ca.crt"
    trapped.admin("auth", "sign", "--format=mysql", "--host=localhost", f"--out={out}")
    ca.write_text(trapped.admin("auth", "export", "--type=db-client").stdout)
    files = ferretdb.Files(out.with_suffix(".crt"), out.with_suffix(".key"), ca)
    own = {"certificate": files.certificate, "key": files.key, "client_ca": ca}
    trapped.create(wide_role("wide"))
    trapped.add_user("zoe", "wide")
    zoe = trapped.users["zoe"]
    with ExitStack() as stack:
        maria, cache = (stack.enter_context(kind.running(**own)) for kind in (mariadb, redis_server))
        maria.create("app", "alice")
        maria.ask("".join(f"create table {name} (id int);" for name in TABLES), "app")
        ferret = stack.enter_context(ferretdb.running(files))
        front = stack.enter_context(ferretdb.Certified(files, behind=ferret.plain))
        trapped.create(
            mysql_rig.database("other-mysql", maria.uri),
            mysql_rig.database("other-mongodb", front.uri, "mongodb"),
            mysql_rig.database("other-redis", cache.uri, "redis"),
        )
        my, mongo, red = (
            stack.enter_context(zoe.tunnel(user, name, f"other-{protocol}"))
            for protocol, user, name in (("mysql", "alice", "app"), ("mongodb", "alice", "app"),
                                         ("redis", "default", "0"))
        )  # fmt: skip
        connection = stack.enter_context(
            pymysql.connect(host=my.host, port=my.port, user="alice", database="app", autocommit=True)
        )
        documents = stack.enter_context(mongo_rig.client(mongo))
        keys = stack.enter_context(caches.client(red))
        yield {
            "mysql": partial(told, lambda name: connection.query(f"select * from {name}")),
            "mongodb": partial(told, lambda name: documents.app[name].find_one()),
            "redis": partial(told, keys.get),
        }


def told(read: Callable[[str], object], name: str) -> str:
    """The error of a read, empty where there is none."""
    try:
        read(name)
    except (pymysql.err.MySQLError, PyMongoError, redis.RedisError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("protocol", ["mysql", "mongodb", "redis"])
def test_every_protocol_says_so_and_goes_on(protocol: str, others: dict[str, Callable[[str], str]]) -> None:
    ask = others[protocol]
    assert ask("orders") == ""
    for name, message in ROWS.values():
        assert message in ask(name)
        for _ in eventually("others are answered", seconds=20):
            if not ask("orders"):
                break
    assert "refused_by_the_guard" in ask("refused")


def test_a_policy_engine_that_hangs_or_dies_refuses_with_an_alarm(trapped: Cluster) -> None:
    with session(trapped) as connection:
        connection.execute("select 1")
        opa = trapped.opa_pid()
        suspend(opa)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=answer.TIMEOUT.message):
            connection.execute("select 'while it hangs'")
        os.kill(opa, signal.SIGKILL)
        told = ""
        for _ in eventually("a new OPA answers", seconds=30):
            try:
                connection.execute("select 'after'")
                break
            except psycopg.errors.InsufficientPrivilege as error:
                told = told or str(error)
    assert REFUSED in told
    until_alarmed(trapped, answer.TIMEOUT.message)
    until_alarmed(trapped, answer.UNAVAILABLE.message)


def test_nothing_is_published_while_nobody_can_say_who_may(trapped: Cluster) -> None:
    before = json.loads(trapped.admin("policy", "status", "--format=json").stdout)
    opa = trapped.opa_pid()
    suspend(opa)
    try:
        bundle = trapped.folder / "bundle.tar.gz"  # the one in force
        done = trapped.admin("policy", "publish", f"--bundle={bundle}", check=False)
    finally:
        _let_go(opa)
    assert (done.code, answer.TIMEOUT.message in done.stderr) == (3, True)
    for _ in eventually("the engine answers again", seconds=30):
        status = trapped.admin("policy", "status", "--format=json", check=False)
        if status.code == 0:
            break
    assert json.loads(status.stdout) == before


def test_a_shadow_that_hangs_holds_up_nobody(cluster: Cluster) -> None:
    text = (
        "package gateway.guards.traps.shade\n\n"
        'deny contains {"code": "shade"} if input.request.statements[_].operation == "select"\n'
    )
    first = set(_opas(cluster))
    try:
        done = publish(cluster, "traps", "shade", text, "--shadow")
        assert done.code == 0, done.stderr
    finally:
        (cluster.folder / "ours" / "guards" / "traps" / "shade" / "shade.rego").unlink()
    [shadow] = set(_opas(cluster)) - first
    with session(cluster) as connection:
        connection.execute("select count(*) from app.orders")
        for _ in eventually("the difference is told", seconds=20):
            shown = json.loads(cluster.admin("policy", "shadow", "--format=json").stdout)
            if [item for item in shown["differences"] if "shade" in item["shadow_reasons"]]:
                break
        suspend(shadow)
        try:
            started = time.monotonic()
            for number in range(300):  # more than may wait for a shadow at a time
                assert connection.execute(f"select {number}").fetchone() == (number,)
            # Each would take a quarter of a second, and more, if it waited.
            assert time.monotonic() - started < 300 * 0.25
            later = json.loads(cluster.admin("policy", "shadow", "--format=json").stdout)
            assert later["asked"] + later["dropped"] + later["unanswered"] >= shown["asked"]
        finally:
            _let_go(shadow)
    assert cluster.admin("policy", "shadow", "--stop").code == 0


@pytest.mark.parametrize("path", ["schema/no-ddl", "time/business-hours"])
def test_a_guard_of_a_team_may_not_have_the_name_of_one_that_is_shipped(path: str, cluster: Cluster) -> None:
    category, name = path.split("/")
    text = f'package gateway.guards.{category}["{name}"]\n\ndeny contains {{"code": "mine"}} if false\n'
    file = cluster.folder / "ours" / "guards" / category / name / f"{name}.rego"
    try:
        done = publish(cluster, category, name, text)
    finally:
        file.unlink()
    assert done.code != 0
    assert f"{path} is the name of a guard that is shipped" in done.stderr


def _opas(cluster: Cluster) -> list[int]:
    found = []
    for child in children(cluster.pid):
        command = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        if Path(command[0].decode()).name == "opa":
            found.append(child)
    return found


def _let_go(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
