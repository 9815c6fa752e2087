"""A Redis Cluster through the gateway: clients see one node, keys are wherever they are, and move."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.exceptions import ExecAbortError, NoPermissionError

from gateway.model.event import Kind
from gateway.protocols.redis.cluster.slots import slot_of
from tests.e2e import apart, redis_attacks
from tests.e2e import cluster as clusters
from tests.e2e.access import Access
from tests.e2e.caches import cli, client, cluster_client, native
from tests.e2e.cluster import Cluster, eventually, role, wide_role
from tests.e2e.redis_clients import driver as drivers
from tests.e2e.serving import connections, handed_over
from tests.servers import certificates, process, redis_cluster
from tests.servers.redis_cluster import RedisCluster

pytestmark = pytest.mark.db

CACHE, FAR = "caches", "far-caches"
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
FEW = role(
    "few",
    allow={"db_labels": {"env": "dev"}, "db_users": ["default"], "db_names": ["*"]},
    options={"max_db_connections": 2},
)
SPREAD = [f"app:{number}" for number in range(40)]  # on all three masters


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Cluster, RedisCluster]]:
    port, own = process.free_port(), process.free_port()
    proxy = {
        "enabled": True,
        "listen_addr": f"{process.LOOPBACK}:{port}",
        "public_addr": f"localhost:{port}",
        "redis_listen_addr": f"{process.LOOPBACK}:{own}",
    }
    workers = {"enabled": True, "workers": 2}
    with clusters.running(port=port, proxy_service=proxy, db_service=workers) as running:
        out, trusted = running.folder / "redis-server", running.folder / "redis-ca.crt"
        running.admin("auth", "sign", "--format=db", "--host=localhost", f"--out={out}")
        authority = certificates.Authority(running.folder / "nodes")
        exported = [running.admin("auth", "export", f"--type={kind}").stdout for kind in ("db", "db-client")]
        trusted.write_text("".join([*exported, authority.ca.read_text()]))
        with redis_cluster.running(
            certificate=out.with_suffix(".crt"),
            key=out.with_suffix(".key"),
            authorities=trusted,
            own=authority.client("node"),
        ) as nodes:
            database = {
                "kind": "db",
                "version": "v3",
                "metadata": {"name": CACHE, "labels": {"env": "dev"}},
                "spec": {"protocol": "redis", "uri": nodes.uri},
            }
            running.create(database, wide_role("wide"), READER, FEW)
            running.add_users(ann="wide", bob="cache-reader", few="few")
            yield running, nodes


@pytest.fixture(scope="module")
def far(site: tuple[Cluster, RedisCluster]) -> Iterator[tuple[Cluster, apart.Service]]:
    """A service elsewhere that has the same cluster beside it."""
    running, nodes = site
    listed = {"name": FAR, "protocol": "redis", "uri": nodes.uri, "static_labels": {"env": "dev"}}
    made = apart.service(running, running.folder / "agent", apart.token(running, "agents"), [listed])
    made.start()
    try:
        apart.until_served(running, 1, FAR)
        yield running, made
    finally:
        made.stop()


@pytest.fixture
def nodes(site: tuple[Cluster, RedisCluster]) -> RedisCluster:
    site[1].forget_keys()
    return site[1]


@pytest.fixture(scope="module")
def ann(site: tuple[Cluster, RedisCluster]) -> Iterator[Access]:
    with site[0].users["ann"].tunnel("default", "0", CACHE) as access:
        yield access


@pytest.fixture(scope="module")
def bob(site: tuple[Cluster, RedisCluster]) -> Iterator[Access]:
    with site[0].users["bob"].tunnel("default", "0", CACHE) as access:
        yield access


@pytest.fixture(params=[2, 3])
def protocol(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_a_plain_client_reaches_keys_on_all_masters(ann: Access, protocol: int, nodes: RedisCluster) -> None:
    with client(ann, protocol) as plain:
        pipeline = plain.pipeline(transaction=False)
        for key in SPREAD:
            pipeline.set(key, key)
        for key in SPREAD:
            pipeline.get(key)
        assert pipeline.execute() == [True] * len(SPREAD) + SPREAD
        sizes = [int(node.ask("dbsize")) for node in nodes.nodes[:3]]
        assert sum(sizes) == len(SPREAD)
        assert all(sizes)
        assert plain.dbsize() == len(SPREAD)
        assert sorted(plain.keys("app:*")) == sorted(SPREAD)
        assert sorted(plain.scan_iter(count=3)) == sorted(SPREAD)
        with pytest.raises(redis.ResponseError, match=r"CROSSSLOT|same slot"):
            plain.mget(SPREAD)
        assert plain.flushall() is True
        assert plain.dbsize() == 0


def test_a_cluster_client_stays_on_the_gateway(
    site: tuple[Cluster, RedisCluster], protocol: int, nodes: RedisCluster
) -> None:
    access = native(site[0], "ann", CACHE)
    with cluster_client(access, protocol) as clustered:
        for key in SPREAD:
            assert clustered.set(key, key) is True
        assert clustered.mget_nonatomic(SPREAD) == SPREAD
        assert [node.port for node in clustered.get_nodes()] == [access.port]
        pipeline = clustered.pipeline()
        for key in SPREAD:
            pipeline.get(key)
        assert pipeline.execute() == SPREAD
    assert nodes.nodes[0].ask("ping") == "PONG"


def test_a_cluster_client_stays_on_a_tunnel(ann: Access, protocol: int, nodes: RedisCluster) -> None:
    with cluster_client(ann, protocol) as clustered:
        clustered.set("app:1", "1")
        assert clustered.get("app:1") == "1"
        assert [(node.host, node.port) for node in clustered.get_nodes()] == [(ann.host, ann.port)]
    assert "app:1" in cli(ann, "-c", "KEYS", "*")
    shown = "".join(cli(ann, "CLUSTER", word) for word in ("SLOTS", "SHARDS", "NODES"))
    assert str(ann.port) in shown
    assert not [node.port for node in nodes.nodes if str(node.port) in shown]


def test_what_is_said_to_one_worker_is_heard_at_the_other_and_limits_count_both(
    site: tuple[Cluster, RedisCluster], nodes: RedisCluster
) -> None:
    """Before there is a service elsewhere: while there is, the main process serves all."""
    running, _ = site
    with (
        running.users["few"].tunnel("default", "0", CACHE) as way,
        client(way) as listening,
        client(way) as speaking,
        client(way) as third,
    ):
        heard = listening.pubsub(ignore_subscribe_messages=True)  # the first session, and then the second:
        heard.subscribe("news")  # each goes to the worker that has fewer
        assert heard.get_message(timeout=20) is None
        assert speaking.publish("news", "hello") == 1
        for _ in eventually("the message arrives", seconds=20):
            if (got := heard.get_message(timeout=1)) is not None:
                break
        assert got["data"] == "hello"
        with pytest.raises(redis.RedisError, match="at most 2 connections"):
            third.ping()
        assert min(connections(running, running.port)[1:]) >= 1
        heard.close()


def test_whoever_comes_natively_is_served_by_all_workers(site: tuple[Cluster, RedisCluster]) -> None:
    running, _ = site
    way = native(running, "ann", CACHE)
    with ExitStack() as stack:
        for number in range(20):  # one that others have just left is busier than it seems, but not for long
            assert stack.enter_context(client(way)).set("app:native", number) is True
            if min(handed_over(running, way.port)) >= 1:
                break
        else:
            pytest.fail("one worker got all of them")


def test_drivers_speak_to_the_cluster_as_one_node_and_as_one_server(bob: Access, nodes: RedisCluster) -> None:
    for kind in ("single", "cluster"):
        seen = drivers.ioredis(bob, kind)
        assert seen.get("error") is None, seen
        assert (seen["set"], seen["multi"], seen["nodes"]) == ("OK", [3, "3"], [str(bob.port)])
        assert (seen["pipeline"][0], seen["pipeline"][2]) == (2, "2")
        assert "NOPERM" in seen["pipeline"][1]
        for version in (2, 3):
            said = drivers.jedis(bob, kind, version)
            last = "[3, 3]" if kind == "single" else f"[{bob.host}:{bob.port}]"
            assert (said[0], said[1], said[3], said[4]) == ("OK", "2", "2", last), said
            assert "NOPERM" in said[2]
    assert nodes.owner(slot_of(b"app:jedis")).ask("get", "app:jedis") == "2"


def test_asyncio_clients_stay_on_the_gateway(ann: Access, protocol: int, nodes: RedisCluster) -> None:
    async def talk() -> list[Any]:
        more: dict[str, Any] = {"protocol": protocol, "decode_responses": True}
        async with redis.asyncio.RedisCluster(host=ann.host, port=ann.port, **more) as clustered:
            for key in SPREAD:
                await clustered.set(key, key)
            assert [node.port for node in clustered.get_nodes()] == [ann.port]
        async with redis.asyncio.Redis(host=ann.host, port=ann.port, **more) as plain:
            return [await plain.get(key) for key in SPREAD]

    assert asyncio.run(talk()) == SPREAD
    assert sum(int(node.ask("dbsize")) for node in nodes.nodes[:3]) >= len(SPREAD)


def every_other_is_refused(plain: Any) -> None:
    pipeline = plain.pipeline(transaction=False)
    for key in SPREAD:
        pipeline.set(key, key).get("secret:k")
    answers = pipeline.execute(raise_on_error=False)
    assert answers[::2] == [True] * len(SPREAD)
    assert all(isinstance(answer, NoPermissionError) for answer in answers[1::2])


def test_a_refused_command_keeps_its_place_among_many_nodes(
    bob: Access, protocol: int, nodes: RedisCluster
) -> None:
    with client(bob, protocol) as plain:
        every_other_is_refused(plain)
    assert nodes.owner(0).ask("ping") == "PONG"


def test_a_transaction_opens_on_the_node_of_its_first_key(
    ann: Access, bob: Access, protocol: int, nodes: RedisCluster
) -> None:
    with client(ann, protocol) as plain:
        for key in SPREAD:
            pipeline = plain.pipeline(transaction=True)
            assert pipeline.ping().set(key, "1").incr(key).get(key).execute() == [True, True, 2, "2"]
        with pytest.raises(redis.ResponseError, match=r"CROSSSLOT|same slot|EXECABORT"):
            plain.pipeline(transaction=True).set("app:1", "9").set("app:2", "9").execute()
        assert plain.mget("app:1") == ["2"]
        with pytest.raises(redis.ResponseError, match=r"all nodes|EXECABORT"):
            plain.pipeline(transaction=True).set("app:1", "9").dbsize().execute()
        with plain.pipeline() as watching:
            watching.watch("app:1")
            plain.set("app:1", "other")
            watching.multi()
            watching.set("app:1", "mine")
            with pytest.raises(redis.WatchError):
                watching.execute()
    with client(bob, protocol) as plain, pytest.raises((NoPermissionError, ExecAbortError)):
        plain.pipeline(transaction=True).get("secret:k").set("app:1", "bob").execute()
    assert nodes.owner(slot_of(b"app:1")).ask("get", "app:1") == "other"


def test_blocking_commands_wait_and_do_not_mix_answers(
    ann: Access, protocol: int, nodes: RedisCluster
) -> None:
    with client(ann, protocol) as plain:
        pipeline = plain.pipeline(transaction=False)
        pipeline.blpop(["app:list"], timeout=20).set("app:1", "1").get("app:1")
        timer = threading.Timer(0.5, nodes.owner(slot_of(b"app:list")).ask, ("rpush", "app:list", "x"))
        timer.start()
        answers = pipeline.execute()
        timer.join()
        assert [list(answers[0]), *answers[1:]] == [["app:list", "x"], True, "1"]


def test_messages_of_channels_and_of_shard_channels_arrive(
    ann: Access, protocol: int, nodes: RedisCluster
) -> None:
    with client(ann, protocol) as plain:
        listening = plain.pubsub()
        listening.subscribe("news", "more")
        for _ in range(2):
            assert (listening.get_message(timeout=10) or {})["type"] == "subscribe"
        nodes.nodes[2].ask("publish", "news", "from another node")
        assert _message(listening)["data"] == "from another node"
        listening.unsubscribe()
        for _ in range(2):
            assert (listening.get_message(timeout=10) or {})["type"] == "unsubscribe"
        listening.ssubscribe("shard:{1}")
        listening.ssubscribe("shard:{2}")
        for _ in range(2):
            assert (listening.get_message(timeout=10) or {})["type"] == "ssubscribe"
        for tag in ("1", "2"):
            channel = f"shard:{{{tag}}}"
            nodes.owner(slot_of(channel.encode())).ask("spublish", channel, tag)
        assert sorted(_message(listening)["data"] for _ in range(2)) == ["1", "2"]
        listening.sunsubscribe()
        for _ in range(2):
            assert (listening.get_message(timeout=10) or {})["type"] == "sunsubscribe"
        assert plain.ping() is True
        listening.close()


def _message(listening: "redis.client.PubSub") -> dict[str, Any]:
    for _ in range(5):
        said = listening.get_message(timeout=10, ignore_subscribe_messages=True)
        if said is not None:
            return dict(said)
    raise AssertionError("no message came")


def test_a_slot_moves_under_traffic_and_nothing_is_lost(
    ann: Access, protocol: int, nodes: RedisCluster
) -> None:
    slot = slot_of(b"app:{moving}:0")
    source = nodes.owner(slot)
    target = next(node for node in nodes.nodes[:3] if node.id != source.id)
    keys = [f"app:{{moving}}:{number}" for number in range(50)]
    counted = 0
    with client(ann, protocol) as plain:
        for key in keys:
            plain.set(key, 0)

        def traffic() -> None:
            nonlocal counted
            for key in keys:
                pipeline = plain.pipeline(transaction=False)
                for _ in range(5):
                    pipeline.incr(key)
                start = 5 * counted
                assert pipeline.execute() == list(range(start + 1, start + 6))
            counted += 1

        traffic()
        nodes.move(slot, target, steps=traffic)
        traffic()
        assert nodes.owner(slot).id == target.id
        moved = plain.pipeline(transaction=True)
        assert moved.incr(keys[0]).get(keys[0]).execute() == [16, "16"]
    with client(ann, protocol) as plain:
        pipeline = plain.pipeline(transaction=True)
        nodes.move(slot, source)
        assert pipeline.incr(keys[1]).get(keys[1]).execute() == [16, "16"]


def test_a_transaction_finds_its_key_after_it_has_moved(
    ann: Access, protocol: int, nodes: RedisCluster
) -> None:
    key = "app:{tx}"
    slot = slot_of(key.encode())
    source = nodes.owner(slot)
    target = next(node for node in nodes.nodes[:3] if node.id != source.id)
    with client(ann, protocol) as plain:
        plain.set(key, 1)
        nodes.move(slot, target)
        assert plain.pipeline(transaction=True).ping().incr(key).get(key).execute() == [True, 2, "2"]
        nodes.move(slot, source)
        assert plain.execute_command("MULTI") in {True, "OK", b"OK"}
        for words, said in ((("INCR", key), "QUEUED"), (("GET", key), "QUEUED")):
            assert plain.execute_command(*words) in {said, said.encode()}
        assert plain.execute_command("EXEC") == [3, "3"]


@pytest.mark.parametrize("name", redis_attacks.ATTEMPTS)
def test_an_attempt_with_few_rights_is_answered_as_it_must_be(
    bob: Access, nodes: RedisCluster, name: str
) -> None:
    for one_by_one in (False, True):
        read, expected = redis_attacks.attempted(bob, name, one_by_one=one_by_one)
        assert read == expected
    assert [node.ask("randomkey") for node in nodes.nodes if "secret" in node.ask("randomkey")] == []


def test_a_script_that_forges_a_redirection_sends_nobody_anywhere(ann: Access, nodes: RedisCluster) -> None:
    with socket.create_server((process.LOOPBACK, 0)) as trap:
        trap.setblocking(False)
        place = f"{process.LOOPBACK}:{trap.getsockname()[1]}"
        for word, keys in (("MOVED", ("0",)), ("ASK", ("1", "app:1"))):
            said = cli(ann, "EVAL", f"return redis.error_reply('{word} 1 {place}')", *keys)
            assert "CLUSTERDOWN" in said
        assert cli(ann, "SET", "app:1", "1").strip() == "OK"
        with pytest.raises(BlockingIOError):
            trap.accept()
    assert nodes.owner(slot_of(b"app:1")).ask("get", "app:1") == "1"


def test_a_cluster_beside_a_service_elsewhere_is_one_server_too(
    far: tuple[Cluster, apart.Service], nodes: RedisCluster
) -> None:
    with far[0].users["bob"].tunnel("default", "0", FAR) as access:
        with client(access) as plain:
            every_other_is_refused(plain)
            transaction = plain.pipeline(transaction=True)
            assert transaction.set("app:1", "1").incr("app:1").execute() == [True, 2]
        with cluster_client(access, 3) as clustered:
            assert clustered.mget_nonatomic(SPREAD[2:]) == SPREAD[2:]
            assert [(node.host, node.port) for node in clustered.get_nodes()] == [(access.host, access.port)]
    own = native(far[0], "ann", FAR)
    with cluster_client(own, 3) as clustered:
        assert clustered.get(SPREAD[0]) == SPREAD[0]
        assert [node.port for node in clustered.get_nodes()] == [own.port]
    assert all(int(node.ask("dbsize")) for node in nodes.nodes[:3])
    begun = [event for event in far[1].records() if event.kind is Kind.SESSION_QUERY]
    ended = {event.fields["query_id"] for event in far[1].records() if event.kind is Kind.SESSION_QUERY_END}
    assert {event.id for event in begun} == ended
    assert "SET app:7 app:7" in {event.fields["statement"] for event in begun}


def test_a_slot_moves_behind_a_service_elsewhere(
    far: tuple[Cluster, apart.Service], nodes: RedisCluster
) -> None:
    key = "app:{far}"
    slot = slot_of(key.encode())
    source = nodes.owner(slot)
    target = next(node for node in nodes.nodes[:3] if node.id != source.id)
    with far[0].users["ann"].tunnel("default", "0", FAR) as access, client(access) as plain:
        plain.set(key, 1)
        nodes.move(slot, target, steps=lambda: plain.incr(key))
        assert plain.pipeline(transaction=True).incr(key).get(key).execute() == [3, "3"]
        nodes.move(slot, source)
        assert plain.get(key) == "3"


def test_without_its_policy_engine_no_command_reaches_any_node(
    ann: Access, site: tuple[Cluster, RedisCluster], nodes: RedisCluster
) -> None:
    running, _ = site
    with client(ann) as plain:
        plain.set("app:before", "1")
        engine = running.opa_pid()
        process.suspend(engine)
        for key in SPREAD[:6]:
            with pytest.raises(NoPermissionError):
                plain.set(key, "hung")
        os.kill(engine, signal.SIGKILL)
        for _ in eventually("a new engine answers", seconds=60):
            try:
                plain.set("app:after", "1")
                break
            except NoPermissionError:
                continue
    assert kept(nodes) == {"app:before", "app:after"}


def kept(nodes: RedisCluster) -> set[str]:
    """The keys of all masters, past the gateway."""
    asked = [node.ask("keys", "*") for node in nodes.nodes if "role:master" in node.ask("info")]
    return {key for said in asked for key in said.split()}


def test_the_failover_of_a_master_is_survived(ann: Access, protocol: int, nodes: RedisCluster) -> None:
    with client(ann, protocol) as plain:
        for key in SPREAD:
            plain.set(key, key)
        dead = nodes.owner(slot_of(SPREAD[0].encode()))
        assert dead.server is not None
        for _ in eventually("the replica has it", seconds=20):
            said = dead.ask("info", "replication")
            offset = said.partition("master_repl_offset:")[2].split()[0]
            if f"offset={offset}," in said:
                break
        dead.server.kill()
        told: list[str] = []
        for _ in eventually("another master serves its keys", seconds=60):
            try:
                assert plain.get(SPREAD[0]) == SPREAD[0]
                break
            except redis.RedisError as error:
                told.append(str(error))
        expected = ("may have been carried out", "cannot be reached", "no node has this key's slot", "moved")
        assert [said for said in told if any(words in said for words in expected)] == told
        assert [plain.get(key) for key in SPREAD] == SPREAD
        plain.set(SPREAD[0], "new")
        redis_cluster.start(dead)
        for _ in eventually("it is back as a replica", seconds=60):
            if "master_link_status:up" in dead.ask("info", "replication"):
                break
        assert plain.get(SPREAD[0]) == "new"


def test_no_command_of_a_gateway_that_dies_is_missing_from_the_audit(
    site: tuple[Cluster, RedisCluster], nodes: RedisCluster
) -> None:
    """The last of the file: the gateway and its workers are killed, and started again."""
    running, _ = site
    way = native(running, "ann", CACHE)

    def load(number: int) -> None:
        try:
            with client(way) as plain:
                for count in range(100_000):
                    plain.set(f"app:{number}:{count}", "1")
        except redis.RedisError:
            return

    clusters.kill_under_load(running, load, lambda: len(kept(nodes)) > 100)
    served = kept(nodes)
    running.start()
    texts = clusters.recorded_texts(running)
    assert {key for key in served if f"SET {key} 1" not in texts} == set()
    assert running.admin("audit", "verify").code == 0
