"""An OPA of the operator's own, on the real stack: it has what was published before."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from gateway.policy import install, signing
from tests.e2e import cluster as clusters
from tests.e2e.cluster import Cluster
from tests.servers import process
from tests.servers.process import Server, free_port

pytestmark = pytest.mark.opa


@contextmanager
def operated(cluster: Cluster, socket: Path) -> Iterator[None]:
    """Somebody who starts an OPA as docs/opa.md says, as soon as the gateway wrote what it needs."""
    folder = cluster.folder / "data" / "policy"
    over = Event()
    servers: list[Server] = []

    def operate() -> None:
        while not (folder / "authz.tar.gz").exists():
            if over.wait(0.05):
                return
        command: list[str | Path] = [
            *(install.ensure_opa(), "run", "--server", "--addr", f"unix://{socket}", "--skip-version-check"),
            *("--unix-socket-perm", "600", "--authentication", "token", "--authorization", "basic"),
            *("--bundle", folder / "gateway.tar.gz", "--bundle", folder / "authz.tar.gz"),
            *("--verification-key", folder / "gateway.pem", "--signing-alg", "ES256", "--log-level", "error"),
        ]
        servers.append(
            process.start(
                "opa", command, log=cluster.folder / "opa.log", directory=cluster.folder,
                environment={"HOME": str(cluster.folder), "PATH": os.environ["PATH"]}, as_unprivileged=False,
            )
        )  # fmt: skip
        over.wait()  # the server lives as long as the thread that started it

    thread = Thread(target=operate)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for server in servers:
            server.stop()


def test_a_publication_is_refused_with_the_way_and_an_earlier_one_stays() -> None:
    with process.temporary_folder("regate-") as folder:
        key = signing.new_key()
        (folder / "team.pem").write_bytes(signing.public_pem(key))
        (folder / "team.key").write_bytes(signing.private_pem(key))
        (folder / "token").write_text("t" * 64)
        cluster = Cluster(folder, free_port())
        policy = {"keys": [str(folder / "team.pem")]}
        clusters.configure(cluster, policy=policy)
        publish = ("policy", "publish", str(folder / "ours"), f"--key={folder / 'team.key'}")
        cluster.start()
        try:
            cluster.admin("policy", "init", str(folder / "ours"))
            cluster.admin(*publish)
            before = json.loads(cluster.admin("policy", "status", "--format=json").stdout)
        finally:
            cluster.stop()
        socket = folder / "own.sock"
        opa = {"address": f"unix:{socket}", "token_file": str(folder / "token")}
        clusters.configure(cluster, policy=policy, opa=opa)
        with operated(cluster, socket):
            cluster.start()
            try:
                after = json.loads(cluster.admin("policy", "status", "--format=json").stdout)
                assert (after["revision"], after["published"]) == (before["revision"], True)
                for command in (publish, ("policy", "rollback")):
                    done = cluster.admin(*command, check=False)
                    assert done.code == 5, done.said
                    assert "opa.address names an OPA of the operator's" in done.stderr
                    assert "take opa.address out while you publish" in done.stderr
                again = json.loads(cluster.admin("policy", "status", "--format=json").stdout)
                assert again["revision"] == before["revision"]
            finally:
                cluster.stop()
