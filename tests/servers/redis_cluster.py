"""A private Redis Cluster with mutual TLS: three masters, three replicas, on the loopback address."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tests.servers import install, process
from tests.servers.certificates import Files
from tests.servers.redis import asked

MASTERS = 3
_SLOTS = 16_384


@dataclass(slots=True)
class Node:
    """One server; the plain port is for the test itself."""

    folder: Path
    port: int
    plain: int
    bus: int
    server: process.Server | None = None
    id: str = ""

    def ask(self, *words: str) -> str:
        """One command past the gateway."""
        return asked(self.plain, *words)


@dataclass(slots=True)
class RedisCluster:
    """All nodes: the first half began as masters, and each has the replica that stands as far behind it."""

    nodes: list[Node] = field(default_factory=list)

    @property
    def uri(self) -> str:
        """The seeds, as a resource names them."""
        return ",".join(f"localhost:{node.port}" for node in self.nodes[:2])

    def owner(self, slot: int) -> Node:
        """The master that has *slot* now, as the first node that answers sees it."""
        for line in self._alive().ask("cluster", "nodes").splitlines():
            words = line.split()
            for word in words[8:]:
                low, _, high = word.partition("-")
                if low.isdigit() and int(low) <= slot <= int(high or low):
                    return next(node for node in self.nodes if node.id == words[0])
        raise process.ServerError(f"nobody has slot {slot}")

    def move(self, slot: int, target: Node, *, steps: Callable[[], None] = lambda: None) -> None:
        """Migrate *slot* as an operator's tool does; *steps* runs while it is on its way."""
        source = self.owner(slot)
        target.ask("cluster", "setslot", str(slot), "importing", source.id)
        source.ask("cluster", "setslot", str(slot), "migrating", target.id)
        steps()
        while found := source.ask("cluster", "getkeysinslot", str(slot), "100").split():
            source.ask("migrate", process.LOOPBACK, str(target.port), "", "0", "5000", "keys", *found)
        for node in (target, source):
            node.ask("cluster", "setslot", str(slot), "node", target.id)

    def forget_keys(self) -> None:
        """Empty it, once all slots are served."""
        _until(lambda: all("cluster_state:ok" in node.ask("cluster", "info") for node in self.nodes))
        for node in self.nodes:
            if node.server is not None and node.server.is_running() and "role:master" in node.ask("info"):
                node.ask("flushall")

    def _alive(self) -> Node:
        return next(node for node in self.nodes if node.server is not None and node.server.is_running())


@contextmanager
def running(*, certificate: Path, key: Path, authorities: Path, own: Files) -> Iterator[RedisCluster]:
    """*authorities* are those of clients, of servers, and of *own*, which nodes show to each other."""
    install.ensure("redis")
    cluster = RedisCluster()
    with ExitStack() as stack:
        for _ in range(2 * MASTERS):
            folder = stack.enter_context(process.temporary_folder("regate-rc-"))
            files = ((certificate, "tls.crt"), (key, "tls.key"), (authorities, "ca.crt"))
            for source, name in (*files, (own.certificate, "own.crt"), (own.key, "own.key")):
                shutil.copyfile(source, folder / name)
                process.own(folder / name, 0o600)
            node = Node(folder, process.free_port(), process.free_port(), process.free_port())
            start(node)
            cluster.nodes.append(node)
            stack.callback(_stop, node)
        _join(cluster)
        yield cluster


def start(node: Node) -> None:
    """Start a node, for the first time or again."""
    program = install.program("redis-server")
    assert program is not None
    folder = node.folder
    lines = [
        f"bind {process.LOOPBACK}", f"port {node.plain}", f"tls-port {node.port}", 'save ""', f"dir {folder}",
        f"tls-cert-file {folder}/tls.crt", f"tls-key-file {folder}/tls.key",
        f"tls-client-cert-file {folder}/own.crt", f"tls-client-key-file {folder}/own.key",
        f"tls-ca-cert-file {folder}/ca.crt", "tls-auth-clients yes", "tls-cluster yes", "tls-replication yes",
        "cluster-enabled yes", f"cluster-port {node.bus}", "cluster-node-timeout 2000",
        "cluster-announce-hostname localhost", "repl-diskless-sync-delay 0",
        "cluster-replica-validity-factor 0",
    ]  # fmt: skip
    settings = folder / "redis.conf"
    settings.write_text("\n".join(lines) + "\n")
    process.own(settings, 0o600)
    node.server = process.start("redis", [program, settings], log=folder / "start.log", directory=folder)
    node.server.wait_until(lambda: _answers(node), seconds=60)


def _stop(node: Node) -> None:
    if node.server is not None:
        node.server.stop()


def _answers(node: Node) -> bool:
    try:
        return node.ask("ping") == "PONG"
    except redis.RedisError:
        return False


def _join(cluster: RedisCluster) -> None:
    first, *others = cluster.nodes
    for node in cluster.nodes:
        node.id = node.ask("cluster", "myid")
    for node in others:
        first.ask("cluster", "meet", process.LOOPBACK, str(node.port), str(node.bus))
    _until(lambda: all(_known(node) == len(cluster.nodes) for node in cluster.nodes))
    edges = [_SLOTS * index // MASTERS for index in range(MASTERS + 1)]
    for index, master in enumerate(cluster.nodes[:MASTERS]):
        master.ask("cluster", "addslotsrange", str(edges[index]), str(edges[index + 1] - 1))
        replica = cluster.nodes[index + MASTERS]
        replica.ask("cluster", "replicate", master.id)
    _until(lambda: all("cluster_state:ok" in node.ask("cluster", "info") for node in cluster.nodes))
    replicas = cluster.nodes[MASTERS:]
    _until(lambda: all("master_link_status:up" in node.ask("info", "replication") for node in replicas))


def _known(node: Node) -> int:
    return len(node.ask("cluster", "nodes").splitlines())


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        if time.monotonic() > deadline:
            raise process.ServerError("the cluster did not come together within a minute")
        time.sleep(0.1)
