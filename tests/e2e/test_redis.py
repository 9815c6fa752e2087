"""Redis through the gateway: a real server, redis-cli and redis-py, through tunnels and TLS."""

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import yaml
from redis.exceptions import ExecAbortError, NoPermissionError

from gateway.protocols.redis.resp import encode
from tests.e2e import cluster as clusters
from tests.e2e import redis_attacks
from tests.e2e.access import Access
from tests.e2e.caches import cli, native, tls
from tests.e2e.caches import client as client_of
from tests.e2e.cluster import Cluster, eventually, role, wide_role
from tests.e2e.redis_clients import driver as drivers
from tests.servers import process
from tests.servers import redis as servers

pytestmark = pytest.mark.db

CACHE = "cache"
READER = role(
    "cache-reader",
    allow={
        "db_labels": {"env": "dev"},
        "db_users": ["default"],
        "db_names": ["*"],
        "db_permissions": [
            {"match": {"object_kind": "key", "name": "app:*"}, "permissions": ["SELECT", "UPDATE"]},
            {"match": {"object_kind": "channel", "name": "news"}, "permissions": ["LISTEN"]},
        ],
    },
)


@pytest.fixture(scope="module")
def cache() -> Iterator[tuple[Cluster, servers.Redis]]:
    port, own = process.free_port(), process.free_port()
    proxy = {
        "enabled": True,
        "listen_addr": f"{process.LOOPBACK}:{port}",
        "public_addr": f"localhost:{port}",
        "redis_listen_addr": f"{process.LOOPBACK}:{own}",
    }
    with clusters.running(port=port, proxy_service=proxy) as running:
        out, ca = running.folder / "redis-server", running.folder / "redis-ca.crt"
        running.admin("auth", "sign", "--format=db", "--host=localhost", f"--out={out}")
        ca.write_text(running.admin("auth", "export", "--type=db-client").stdout)
        acl = {"worker": "on >s3cret-of-the-worker ~* &* +@all"}
        with servers.running(
            certificate=out.with_suffix(".crt"), key=out.with_suffix(".key"), client_ca=ca, users=acl
        ) as server:
            secret = running.folder / "worker.secret"
            secret.write_text("s3cret-of-the-worker\n")
            database = {
                "kind": "db",
                "version": "v3",
                "metadata": {"name": CACHE, "labels": {"env": "dev"}},
                "spec": {"protocol": "redis", "uri": server.uri},
            }
            as_worker = {
                **database,
                "metadata": {"name": "cache-worker", "labels": {"env": "dev"}},
                "spec": {
                    "protocol": "redis",
                    "uri": server.uri,
                    "auth": {"method": "password", "secret_file": str(secret)},
                },
            }
            running.create(database, as_worker, wide_role("wide"), READER)
            running.add_users(ann="wide", bob="cache-reader", carol="cache-reader")
            yield running, server


@pytest.fixture(scope="module")
def tunnels(cache: tuple[Cluster, servers.Redis]) -> Iterator[dict[str, Access]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(cache[0].users[name].tunnel("default", "0", CACHE))
            for name in ("ann", "bob")
        }


@pytest.fixture
def ann(cache: tuple[Cluster, servers.Redis], tunnels: dict[str, Access]) -> Access:
    cache[1].ask("flushall")
    return tunnels["ann"]


@pytest.fixture
def bob(cache: tuple[Cluster, servers.Redis], tunnels: dict[str, Access]) -> Access:
    cache[1].ask("flushall")
    return tunnels["bob"]


@pytest.fixture(params=[2, 3])
def protocol(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_commands_pass_and_are_recorded_with_their_outcome(
    ann: Access, protocol: int, cache: tuple[Cluster, servers.Redis]
) -> None:
    with client_of(ann, protocol) as client:
        assert client.set("app:x", "1") is True
        assert client.incr("app:x") == 2
        assert client.mget("app:x", "app:none") == ["2", None]
        client.hset("app:h", mapping={"a": "1", "b": "2"})
        assert client.hgetall("app:h") == {"a": "1", "b": "2"}
        big = "x" * 3_000_000
        client.set("app:big", big)
        assert client.get("app:big") == big
        with pytest.raises(redis.ResponseError, match=r"WRONGTYPE|wrong kind"):
            client.lpush("app:x", "1")
    recorded = cache[0].audit("--user=ann", "--kind=db.session.query")
    texts = [item["fields"]["statement"] for item in recorded]
    assert "SET app:x 1" in texts
    assert any(text.startswith("SET app:big xxx") and "3000000 bytes" in text for text in texts)
    ends = cache[0].audit("--user=ann", "--kind=db.session.query.end")
    assert any(item["fields"]["error_code"] == "WRONGTYPE" for item in ends)


def test_a_refused_command_keeps_a_pipeline_in_order(bob: Access, protocol: int) -> None:
    with client_of(bob, protocol) as client:
        pipeline = client.pipeline(transaction=False)
        pipeline.set("app:x", "1").get("secret:k").get("app:x").flushall().incr("app:x")
        answers = pipeline.execute(raise_on_error=False)
        assert [answers[0], answers[2], answers[4]] == [True, "1", 2]
        for refused in (answers[1], answers[3]):
            assert isinstance(refused, NoPermissionError)
            assert "decision" in str(refused)
        assert "secret:k" in str(answers[1])


def test_a_transaction_that_was_refused_a_command_is_aborted_by_the_server(
    bob: Access, protocol: int, cache: tuple[Cluster, servers.Redis]
) -> None:
    with client_of(bob, protocol) as client:
        pipeline = client.pipeline(transaction=True)
        pipeline.set("app:x", "1").set("secret:k", "1")
        with pytest.raises((NoPermissionError, ExecAbortError)):
            pipeline.execute()
        assert client.get("app:x") is None
        assert client.pipeline(transaction=True).set("app:x", "2").get("app:x").execute() == [True, "2"]
    assert cache[1].ask("exists", "secret:k") == "0"


def test_messages_arrive_for_the_channels_that_are_granted(
    bob: Access, protocol: int, cache: tuple[Cluster, servers.Redis]
) -> None:
    with client_of(bob, protocol) as client:
        listening = client.pubsub()
        listening.subscribe("news")
        assert (listening.get_message(timeout=10) or {})["type"] == "subscribe"
        timer = threading.Timer(0.2, cache[1].ask, ("publish", "news", "hello"))
        timer.start()
        said = None
        for _ in range(5):
            said = listening.get_message(timeout=10)
            if said is not None:
                break
        timer.join()
        assert said is not None
        assert said["data"] == "hello"
        listening.unsubscribe("news")
        listening.close()
        with pytest.raises(NoPermissionError):
            client.publish("news", "mine")


@pytest.mark.parametrize(
    "words",
    [
        ("CONFIG", "GET", "*"), ("KEYS", "*"), ("SCAN", "0"),
        ("EVAL", "return redis.call('GET','secret:k')", "0"),
        ("SORT", "app:l", "GET", "secret:*"),
        ("GEORADIUS", "app:g", "0", "0", "1", "km", "STORE", "app:x", "STORE", "secret:k"),
        ("hello", "2", "aUtH", "default", "x"), ("memory", "usage", "secret:k"),
        ("client", "tracking", "on", "prefix", "secret:", "bcast"),
        ("COPY", "secret:k", "app:x"), ("SELECT", "1"), ("MONITOR",),
        ("AUTH", "default", "x"), ("CLIENT", "REPLY", "OFF"), ("CLIENT", "KILL", "TYPE", "normal"),
        ("MOVE", "app:x", "1"), ("OBJECT", "ENCODING", "secret:k"), ("NO.SUCH", "thing"), ("RESET",),
        ("XREAD", "STREAMS", "app:s", "secret:s", "0", "0"), ("SUBSCRIBE", "other"), ("DEBUG", "SLEEP", "0"),
        ("GETEX", "secret:k", "PERSIST"),
        ("Get", "secret:k"), ("GETDEL", "secret:k"), ("DUMP", "secret:k"),
        ("EXISTS", "app:x", "secret:k"), ("TYPE", "secret:k"), ("TOUCH", "secret:k"), ("WATCH", "secret:k"),
        ("MSETNX", "app:x", "1", "secret:k", "2"), ("BITOP", "AND", "app:x", "secret:k"),
        ("PFCOUNT", "app:x", "secret:k"), ("PFMERGE", "app:x", "secret:k"),
        ("LMOVE", "app:l", "secret:l", "LEFT", "LEFT"), ("SINTERSTORE", "app:x", "secret:s"),
        ("SINTERCARD", "2", "app:x", "secret:s"), ("ZRANGESTORE", "app:x", "secret:z", "0", "-1"),
        ("ZUNION", "2", "app:z", "secret:z"), ("LMPOP", "2", "app:l", "secret:l", "LEFT"),
        ("GEOSEARCHSTORE", "app:x", "secret:g", "FROMMEMBER", "m", "BYRADIUS", "1", "km"),
        ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "app:s", "secret:s", ">", ">"),
        ("XREAD", "streams", "STREAMS", "secret:s", "0", "0"), ("LCS", "app:x", "secret:k"),
        ("SORT", "app:l", "BY", "secret:*"), ("SORT_RO", "app:l", "GET", "#", "GET", "secret:*"),
        ("SORT", "app:l", "STORE", "app:y", "STORE", "secret:k"), ("RENAME", "secret:k", "app:x"),
        ("EVAL", "return 1", "1", "app:x"), ("EVAL_RO", "return 1", "0"), ("EVALSHA", "0" * 40, "0"),
        ("FCALL", "f", "1", "app:x"), ("FCALL_RO", "f", "0"), ("SCRIPT", "LOAD", "return 1"),
        ("FUNCTION", "LOAD", "#!lua name=x"), ("FUNCTION", "DUMP"), ("MODULE", "LOAD", "/tmp/x.so"),
        ("MODULE", "LIST"), ("CONFIG", "SET", "dir", "/tmp"), ("ACL", "SETUSER", "default", "on"),
        ("ACL", "LIST"), ("ACL", "LOG"), ("CLIENT", "LIST"), ("CLIENT", "PAUSE", "1"), ("SLOWLOG", "GET"),
        ("DEBUG", "OBJECT", "secret:k"), ("MIGRATE", "h", "1", "", "0", "1", "KEYS", "app:x", "secret:k"),
        ("RESTORE", "secret:k", "0", "x"), ("SLAVEOF", "h", "1"), ("REPLICAOF", "NO", "ONE"), ("FAILOVER",),
        ("PSUBSCRIBE", "*"), ("PSUBSCRIBE", "new?"), ("SSUBSCRIBE", "other"), ("PUBSUB", "CHANNELS"),
        ("RANDOMKEY",), ("DBSIZE",), ("FLUSHDB",), ("FLUSHALL",), ("SWAPDB", "0", "1"),
        ("SHUTDOWN", "NOSAVE"),
        ("SAVE",), ("INFO",), ("LATENCY", "LATEST"), ("GATEWAY.DENIED",), ("GATEWAY.ADDRESS", "evil:1"),
        ("GET", "x\r\nGET secret:k"), ("CLUSTER", "GETKEYSINSLOT", "1", "9"), ("PSYNC", "?", "-1"),
        ("HELLO", "3", "SETNAME", "x", "AUTH", "default", "y"), ("CLIENT", "NO-EVICT", "on"),
    ],
)  # fmt: skip
def test_what_nobody_granted_is_refused_and_the_connection_stays(bob: Access, words: tuple[str, ...]) -> None:
    with client_of(bob) as client:
        with pytest.raises(NoPermissionError):
            client.execute_command(*words)
        assert client.ping() is True


@pytest.mark.parametrize(
    "words", [("MONITOR",), ("AUTH", "default", "x"), ("CLIENT", "REPLY", "OFF"), ("SYNC",)]
)
def test_what_would_break_the_session_is_refused_to_everybody(ann: Access, words: tuple[str, ...]) -> None:
    with client_of(ann) as client:
        with pytest.raises(NoPermissionError, match="not offered here"):
            client.execute_command(*words)
        assert client.ping() is True


OTHER_DATABASES = [
    ("SELECT", "1"), ("SELECT", "01"), ("MOVE", "k", "1"), ("SWAPDB", "0", "1"), ("FLUSHALL",),
    ("COPY", "k", "l", "DB", "1"), ("FLUSHALL", "ASYNC"),
]  # fmt: skip


@pytest.mark.parametrize("words", OTHER_DATABASES)
def test_a_session_stays_in_the_database_that_it_named(
    cache: tuple[Cluster, servers.Redis], ann: Access, words: tuple[str, ...]
) -> None:
    cache[1].ask("set", "k", "there", database=1)
    with client_of(ann) as client:
        client.set("k", "here")
        with pytest.raises(NoPermissionError, match="opened database 0; say --db-name"):
            client.execute_command(*words)
        pipeline = client.pipeline(transaction=False)
        for each in (("SELECT", "0"), words, ("GET", "k")):
            pipeline.execute_command(*each)
        said = pipeline.execute(raise_on_error=False)
        assert (said[0], type(said[1]), said[2]) == (True, NoPermissionError, "here")
    assert cache[1].ask("get", "k", database=1) == "there"


def test_a_session_that_names_no_database_reaches_all(cache: tuple[Cluster, servers.Redis]) -> None:
    """Its role has ``*``: nothing less matches a name that is absent."""
    zoe = cache[0].add_user("zoe", "wide")
    with zoe.tunnel("default", "", CACHE) as access, client_of(access) as client:
        cache[1].ask("set", "k", "there", database=1)
        pipeline = client.pipeline(transaction=False)
        pipeline.execute_command("SELECT", "1")
        pipeline.get("k")
        assert pipeline.execute() == [True, "there"]


@pytest.mark.parametrize("name", redis_attacks.ATTEMPTS)
def test_an_attempt_with_few_rights_is_answered_as_it_must_be(bob: Access, name: str) -> None:
    for one_by_one in (False, True):
        read, expected = redis_attacks.attempted(bob, name, one_by_one=one_by_one)
        assert read == expected


def test_a_script_that_forges_a_redirection_sends_nobody_anywhere(ann: Access) -> None:
    said = cli(ann, "EVAL", "return redis.error_reply('MOVED 1 127.0.0.1:1')", "0")
    assert "MOVED 1 127.0.0.1:1" in said  # one server: it is an error like any other
    assert cli(ann, "PING").strip() == "PONG"


def test_answers_that_nobody_reads_stay_with_the_server(
    ann: Access, cache: tuple[Cluster, servers.Redis]
) -> None:
    cluster, server = cache
    server.ask("set", "app:big", "x" * 100_000)
    with redis_attacks.Raw(ann) as raw:
        before = _resident_kib(cluster.pid)
        raw.sock.sendall(encode(b"GET", b"app:big") * 1_000)
        for _ in eventually("the server keeps what the gateway does not take", seconds=60):
            kept = re.findall(r" omem=(\d+)", server.ask("client", "list"))
            if max(map(int, kept)) > 20_000_000:
                break
        assert _resident_kib(cluster.pid) - before < 64 * 1024
        assert cli(ann, "GET", "app:none").strip() == ""  # others are served meanwhile


def _resident_kib(pid: int) -> int:
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def test_the_gateway_logs_in_as_the_user_that_the_route_names(cache: tuple[Cluster, servers.Redis]) -> None:
    with cache[0].users["ann"].tunnel("worker", "3", "cache-worker") as access, client_of(access) as client:
        assert client.execute_command("ACL", "WHOAMI") == "worker"
        client.set("app:y", "1")
    assert cache[1].ask("get", "app:y", database=3) == "1"
    with cache[0].users["ann"].tunnel("worker", "0", CACHE) as access:
        done = subprocess.run(
            ["redis-cli", "-h", access.host, "-p", str(access.port), "PING"],
            capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
    assert "takes the gateway for 'default'" in done.stdout + done.stderr
    assert "s3cret-of-the-worker" not in str(cache[0].audit()) + cache[0].server_log()


def test_redis_cli_is_started_on_a_database(cache: tuple[Cluster, servers.Redis]) -> None:
    ann = cache[0].users["ann"]
    done = ann.regate("db", "connect", "--db-user=default", "--db-name=0", CACHE, "--", "SET", "app:z", "7")
    assert "OK" in done.stdout
    done = ann.regate("db", "exec", "--db-user=default", "--db-name=0", f"--dbs={CACHE}", "GET app:z")
    assert "7" in done.stdout


def test_the_table_of_commands_is_the_servers_own(cache: tuple[Cluster, servers.Redis]) -> None:
    from gateway.protocols.redis.table import commands  # noqa: PLC0415 -- beside what it is compared with
    from tests.servers.redis_table import ask, table  # noqa: PLC0415

    version = cache[1].ask("info", "server").partition("redis_version:")[2].split()[0]
    if not version.startswith("7.0."):
        pytest.skip(f"the table is of Redis 7.0, this server is {version}")
    found = table(ask("127.0.0.1", cache[1].plain))
    assert {name for name, value in found.items() if not value.get("container")} <= set(commands())


def test_a_thousand_commands_in_one_write_come_back_in_order(ann: Access) -> None:
    done = subprocess.run(
        ["redis-cli", "-h", ann.host, "-p", str(ann.port)],
        input="".join(f"ECHO {number}\n" for number in range(1000)),
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert [line.strip('"') for line in done.stdout.split()] == [str(number) for number in range(1000)]


def test_clients_reach_the_port_for_redis_alone_with_tls_and_no_more(
    cache: tuple[Cluster, servers.Redis], protocol: int
) -> None:
    cluster, _ = cache
    access = native(cluster, "ann", CACHE)
    with client_of(access, protocol) as client:
        assert client.set("app:n", "1") is True
        assert client.get("app:n") == "1"
    assert cli(access, "GET", "app:n").strip() == "1"
    plain = replace(access, ca=None)
    assert "this port needs TLS" in cli(plain, "PING")


@pytest.fixture(scope="module")
def locked_out(cache: tuple[Cluster, servers.Redis]) -> Iterator[dict[str, Access]]:
    """carol has a certificate and a tunnel, and may not connect any more."""
    cluster, _ = cache
    lock: dict[str, Any] = {"kind": "lock", "version": "v2", "metadata": {"name": "not-carol"}}
    lock["spec"] = {"target": {"user": "carol"}, "message": "carol is on leave"}
    straight = native(cluster, "carol", CACHE)
    with cluster.users["carol"].tunnel("default", "0", CACHE) as tunnel:
        cluster.create(lock)
        for _ in eventually("the lock counts"):
            if "PONG" not in cli(tunnel, "PING"):
                break
        yield {"native": straight, "tunnel": tunnel}


@pytest.mark.parametrize("way", ["native", "tunnel"])
def test_whoever_is_turned_away_reads_why(locked_out: dict[str, Access], way: str, protocol: int) -> None:
    access = locked_out[way]
    told = pytest.raises(redis.RedisError, match=r"carol is on leave.*\(decision ")
    with told, client_of(access, protocol) as client:
        client.get("app:x")
    assert "carol is on leave" in cli(access, "GET", "app:x")


@pytest.mark.parametrize("way", ["native", "tunnel"])
def test_drivers_tell_their_callers_that_they_were_turned_away(
    locked_out: dict[str, Access], way: str
) -> None:
    if way == "native":
        assert "carol is on leave" in asyncio.run(_asked_in_vain(locked_out[way]))
        return
    access = locked_out[way]
    for kind in ("single", "cluster"):
        assert "carol is on leave" in json.dumps(drivers.ioredis(access, kind))
        assert "carol is on leave" in "".join(drivers.jedis(access, kind, 2))
    assert "carol is on leave" in "".join(drivers.jedis(access, "single", 3))


async def _asked_in_vain(access: Access) -> str:
    async with redis.asyncio.Redis(host=access.host, port=access.port, **tls(access)) as client:
        try:
            await client.get("app:x")
        except redis.RedisError as error:
            return str(error)
    return ""


def test_the_page_works_as_it_is_typed(cache: tuple[Cluster, servers.Redis], tmp_path: Path) -> None:
    cluster, _ = cache
    page = Path(__file__).parents[2] / "docs" / "protocols" / "redis.md"
    blocks = page.read_text().split("```")[1::2]
    prepare, resource, use = blocks[0], blocks[1], blocks[2]
    admin = cluster.folder / "admin"
    variables = cluster.environment(admin) | {"REGATE_CONFIG": str(cluster.configuration)}
    typed = prepare.replace("cache.example.com", "localhost").replace("--out=server", "--out=page")
    subprocess.run(["sh", "-e", "-c", typed], env=variables, cwd=admin, check=True, timeout=60)
    secret = tmp_path / "cache.secret"
    secret.write_text("s3cret-of-the-worker\n")
    users = {"worker": "on >s3cret-of-the-worker ~* &* +@all"}
    with servers.running(
        certificate=admin / "page.crt", key=admin / "page.key", client_ca=admin / "clients.crt", users=users
    ) as server:
        written = resource.replace("cache.example.com:6379", server.uri).replace(
            "name: cache,", "name: page,"
        )
        cluster.admin("create", "-", stdin=written.replace("/etc/regate/cache.secret", str(secret)))
        said = [
            cluster.users["ann"].regate(*shlex.split(line.replace("cache", "page"))[1:]).stdout
            for line in use.strip().splitlines()
        ]
        assert "OK" in said[1]
        assert "hello" in said[2]
        assert "key.pem" in said[3]
        (typed,) = re.findall(r"^Command: +(.*)$", said[3], re.MULTILINE)
        assert shell(f"{typed} GET app:greeting") == "hello\n"
        printed = cluster.users["ann"].regate("db", "env", "page").stdout
        asked = "import os, redis; print(redis.Redis.from_url(os.environ['REDIS_URL']).get('app:greeting'))"
        assert shell(f"{printed}{shlex.join([sys.executable, '-c', asked])}") == "b'hello'\n"
        assert server.ask("get", "app:greeting") == "hello"


def shell(typed: str) -> str:
    return subprocess.run(
        ["sh", "-e", "-c", typed], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_the_doctor_knows_what_the_server_needs_and_that_it_has_it(
    cache: tuple[Cluster, servers.Redis],
) -> None:
    cluster, server = cache
    doctor = ("doctor", "-c", str(cluster.configuration))
    said = cluster.admin(*doctor, f"--db={CACHE}", "--db-user=default", check=False).stdout
    assert "tls-auth-clients yes" in said
    assert "pg_hba.conf" not in said
    assert f"logged in to {server.uri}, version 7" in said
    assert "refused, as it must be" in said
    wrong = cluster.admin(*doctor, f"--db={CACHE}", "--db-user=worker", check=False)
    assert wrong.code == 10
    assert "set auth.method to password" in wrong.stdout


def test_a_corpus_is_sent_through_sessions_of_ones_own(
    cache: tuple[Cluster, servers.Redis], tmp_path: Path
) -> None:
    cluster, server = cache
    server.ask("set", "app:live", "1")
    server.ask("set", "secret:live", "1")
    texts = {
        "ATTACK": ("command", "GET secret:live", "deny"),
        "CONFIG": ("command", "CONFIG SET dir /tmp", "deny"),
        "CONTROL": ("command", "GET app:live", "parse"),
        "TWO": ("wire", (b"*2\r\n$3\r\nGET\r\n$8\r\napp:live\r\n" * 2).hex(), "parse"),
        "NO-FRAME": ("wire", b"*1\r\n!4\r\nPING\r\n".hex(), "fail_closed"),
        "PASSES": ("command", "SET app:live 2", "deny"),
    }
    entries = [
        {"id": name, "protocol": "redis", "kind": kind, "payload": text, "must": must,
         "encoding": "hex" if kind == "wire" else "text"}
        for name, (kind, text, must) in texts.items()
    ]  # fmt: skip
    file = tmp_path / "corpus.yaml"
    file.write_text(yaml.safe_dump(entries))
    done = cluster.users["bob"].regate(
        "policy", "corpus", str(file), f"--live={CACHE}", "--db-user=default", "--db-name=0",
        "--format=json", check=False,
    )  # fmt: skip
    assert done.code == 1, done.said
    said = json.loads(done.stdout)
    came = {item["id"]: item["came_out"] for item in (*said["as_they_must"], *said["otherwise"])}
    assert came == {"ATTACK": "denied", "CONFIG": "denied", "CONTROL": "allowed", "TWO": "allowed",
                    "NO-FRAME": "closed", "PASSES": "allowed"}  # fmt: skip
    assert [item["id"] for item in said["otherwise"]] == ["PASSES"]
    assert server.ask("get", "app:live") == "1"  # it was queued, and dropped


def test_a_command_that_is_held_waits_for_a_second_person(cache: tuple[Cluster, servers.Redis]) -> None:
    cluster, server = cache
    server.ask("mset", "app:1", "1", "app:2", "2")
    allow = {"db_labels": {"env": "dev"}, "db_users": ["default"], "db_names": ["*"]}
    hold = {"seconds": 60, "reason": "two see more", "operations": ["DELETE"]}
    cluster.create(role("held", "regate/v1", allow=allow, options={"hold": hold}))
    cluster.add_user("hugo", "held")
    with cluster.users["hugo"].tunnel("default", "0", CACHE) as access, client_of(access) as client:
        assert client.get("app:1") == "1"
        for answer, left in (("approve", None), ("deny", "2")):
            key = "app:1" if answer == "approve" else "app:2"
            said: list[str] = []
            pipeline = client.pipeline(transaction=False).delete(key).get(key)
            waiting = threading.Thread(
                target=lambda asked, heard: heard.extend(map(str, asked.execute(raise_on_error=False))),
                args=(pipeline, said),
            )
            waiting.start()
            for _ in eventually("it waits", seconds=30):
                held = json.loads(cluster.admin("holds", "ls", "--format=json").stdout)
                if held:
                    break
            assert server.ask("get", key) == key[-1]
            cluster.admin("holds", answer, held[0]["id"])
            waiting.join(30)
            assert said[1] == str(left)
            assert said[0] == "1" if answer == "approve" else "did not agree" in said[0]


def test_without_its_policy_engine_no_command_passes(
    ann: Access, cache: tuple[Cluster, servers.Redis]
) -> None:
    cluster, server = cache
    with client_of(ann) as client:
        client.set("app:before", "1")
        engine = cluster.opa_pid()
        process.suspend(engine)  # it neither answers nor ends: the deadline must refuse
        with pytest.raises(NoPermissionError):
            client.set("app:hung", "1")
        os.kill(engine, signal.SIGKILL)
        for _ in eventually("a new engine answers", seconds=60):
            try:
                client.set("app:after", "1")
                break
            except NoPermissionError:
                continue
    assert server.ask("exists", "app:hung") == "0"
    assert server.ask("exists", "app:before", "app:after") == "2"


def test_no_command_of_a_gateway_that_dies_is_missing_from_the_audit(
    ann: Access, cache: tuple[Cluster, servers.Redis]
) -> None:
    cluster, server = cache

    def load(number: int) -> None:
        try:
            with client_of(ann) as client:
                for count in range(100_000):
                    client.pipeline(transaction=False).set(f"app:{number}:{count}", "1").incr(
                        "app:n"
                    ).execute()
        except redis.RedisError:
            return

    clusters.kill_under_load(cluster, load, lambda: int(server.ask("dbsize")) > 100)
    served = {key for key in server.ask("keys", "app:*:*").split() if key}
    assert len(served) >= 100
    cluster.start()
    texts = clusters.recorded_texts(cluster)
    assert {key for key in served if f"SET {key} 1" not in texts} == set()
    assert cluster.admin("audit", "verify").code == 0
