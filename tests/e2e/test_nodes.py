"""Two nodes on one PostgreSQL state: what one changes the other knows, and either goes on alone."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.api.redeeming import MANY, all_at_once
from tests.e2e import apart
from tests.e2e import cluster as clusters
from tests.e2e.apart import Service, token, until_served
from tests.e2e.cluster import AT_ONCE, Cluster, User, children, eventually, role
from tests.e2e.conftest import furnish
from tests.servers import certificates
from tests.servers.postgres import Postgres
from tests.servers.process import LOOPBACK, free_port, temporary_folder

pytestmark = pytest.mark.db

STATE = "cluster_state"
FAR = "far-postgres"
OUT = {"kind": "lock", "version": "v2", "metadata": {"name": "out"}, "spec": {"target": {"user": "alice"}}}


@dataclass(frozen=True)
class Nodes:
    """Both nodes; the first one enrolled the database."""

    first: Cluster
    second: Cluster
    far: Service

    def at_second(self, name: str) -> User:
        """The same person with a profile of the second node's own."""
        home = self.second.folder / f"home-{name}"
        home.mkdir(mode=0o700, exist_ok=True)
        return User(name, home, self.second)


def state_in(
    state: Postgres, authority: certificates.Authority, key_file: Path, name: str = STATE
) -> dict[str, Any]:
    """``auth_service.storage`` for a database of that name."""
    client = authority.client("regate")
    tls = {
        "ca_cert_file": str(authority.ca),
        "cert_file": str(client.certificate),
        "key_file": str(client.key),
    }
    return {
        "url": f"postgresql://regate@localhost:{state.port}/{name}",
        "key_file": str(key_file),
        "tls": tls,
    }


@pytest.fixture(scope="module")
def nodes(bare_postgres: Postgres, authority: certificates.Authority) -> Iterator[Nodes]:
    if not bare_postgres.psql("select 1 from pg_roles where rolname = 'regate'"):
        bare_postgres.psql("create role regate login")
    bare_postgres.psql(f"create database {STATE} owner regate")
    with temporary_folder("regate-a-") as one, temporary_folder("regate-b-") as two:
        ports = [free_port(), free_port()]
        storage = state_in(bare_postgres, authority, one / "state.key")
        service: dict[str, Any] = {"auth_service": {"enabled": True, "storage": storage}}
        with clusters.running(one, port=ports[0], **(_together(ports[0], ports) | service)) as first:
            second = Cluster(two, ports[1])
            two.chmod(0o700)
            clusters.configure(second, **_together(ports[1], ports), **service)
            second.start()
            second.database = first.database
            try:
                furnish(first)
                far = apart.service(first, one / "far", token(first, "far"), [apart.database(first.pg, FAR)])
                far.start()
                try:
                    until_served(first, 1, FAR)
                    yield Nodes(first, second, far)
                finally:
                    far.stop()
            finally:
                if second.server is not None:
                    second.stop()


def _together(port: int, ports: list[int]) -> dict[str, Any]:
    return {
        "proxy_service": {
            "enabled": True,
            "listen_addr": f"{LOOPBACK}:{port}",
            "public_addr": [
                f"localhost:{number}" for number in sorted(ports, key=lambda other: other != port)
            ],
        }
    }


def _overview(node: Cluster) -> dict[str, Any]:
    said = node.admin("status", "-c", str(node.configuration), "--format=json").stdout
    found: dict[str, Any] = json.loads(said)
    return found


def _both(access: Any, nodes: Nodes) -> str:
    """What libpq tries in turn: the same certificate at both nodes."""
    hosts, ports = "localhost,localhost", f"{nodes.first.port},{nodes.second.port}"
    return (
        f"host={hosts} port={ports} user={access.db_user} dbname={access.db_name} sslmode=verify-full"
        f" sslrootcert={access.ca} sslcert={access.certificate} sslkey={access.key} gssencmode=disable"
    )


def test_both_nodes_are_one_cluster(nodes: Nodes) -> None:
    assert nodes.first.pin == nodes.second.pin
    for kind in ("user", "host", "db", "db-client", "audit"):
        texts = {
            node.admin("auth", "export", f"--type={kind}").stdout for node in (nodes.first, nodes.second)
        }
        assert len(texts) == 1
    logs = [node.audit("--kind=policy.load") for node in (nodes.first, nodes.second)]
    assert logs[0][-1]["fields"]["policy_revision"] == logs[1][-1]["fields"]["policy_revision"]


def test_an_account_of_one_node_logs_in_at_the_other_and_connects(nodes: Nodes) -> None:
    alice = nodes.at_second("alice")
    alice.login()
    assert clusters.DATABASE in alice.regate("db", "ls").stdout
    with psycopg.connect(alice.access("alice", "mydb").conninfo) as session:
        assert session.execute("select count(*) from app.orders").fetchone() == (3,)


def test_what_one_node_changes_ends_a_session_at_the_other_at_once(nodes: Nodes) -> None:
    bob = nodes.at_second("bob")
    bob.login()
    before = _overview(nodes.second)["data_revision"]
    with psycopg.connect(bob.access("bob", "mydb").conninfo, autocommit=True) as session:
        session.execute("select id from app.orders")
        lock = {
            "kind": "lock",
            "version": "v2",
            "metadata": {"name": "out"},
            "spec": {"target": {"user": "bob"}},
        }
        nodes.first.create(lock)
        changed = time.monotonic()
        for _ in eventually("bob is out", seconds=20):
            try:
                session.execute("select id from app.orders")
            except psycopg.Error:
                break
        assert time.monotonic() - changed < AT_ONCE
    for node in (nodes.first, nodes.second):
        assert _overview(node)["data_revision"] > before
    assert _overview(nodes.first)["data_revision"] == _overview(nodes.second)["data_revision"]
    nodes.second.admin("rm", "lock/out")
    for _ in eventually("the first node hears of it"):
        if "out" not in nodes.first.admin("get", "lock").stdout:
            break


def test_of_fifty_who_show_a_token_at_both_nodes_at_once_one_joins(nodes: Nodes) -> None:
    secret = token(nodes.first, "wanted-at-both")
    authority = nodes.first.admin("auth", "export", "--type=host").stdout
    came = all_at_once([nodes.first.port, nodes.second.port], authority, secret)
    assert came == {"joined": 1, "token_invalid": MANY - 1}
    for node in (nodes.first, nodes.second):
        assert "wanted-at-both" not in node.admin("tokens", "ls").stdout


def test_a_service_elsewhere_is_connected_to_both_nodes(nodes: Nodes) -> None:
    there = nodes.at_second("alice")
    there.login()
    for user in (nodes.first.users["alice"], there):
        access = user.access("alice", "mydb", FAR)
        for _ in eventually(f"a session at {access.port}", seconds=30):
            try:
                with psycopg.connect(access.conninfo) as session:
                    assert session.execute("select count(*) from app.orders").fetchone() == (3,)
                    break
            except psycopg.OperationalError:
                continue


def test_a_statement_that_waits_at_one_node_is_answered_by_somebody_at_the_other(nodes: Nodes) -> None:
    held = {"seconds": 120, "operations": ["DELETE"]}
    allow = {"db_labels": {"*": "*"}, "db_users": ["alice"], "db_names": ["mydb"]}
    answering = {"rules": [{"resources": ["hold"], "verbs": ["list", "read", "update"]}]}
    nodes.first.create(
        role("careful", "regate/v1", allow=allow, options={"hold": held}), role("answering", allow=answering)
    )
    hugo = nodes.first.add_user("hugo", "careful")
    sue = nodes.second.add_user("sue", "answering")
    access, came = hugo.access("alice", "mydb"), list[str]()

    def delete() -> None:
        with psycopg.connect(access.conninfo, autocommit=True) as session:
            came.append(session.execute("delete from app.notes").statusmessage or "")

    thread = threading.Thread(target=delete)
    thread.start()
    for _ in eventually("it waits", seconds=60):
        waiting = json.loads(sue.regate("holds", "ls", "--format=json").stdout)
        if waiting:
            break
    assert [item["user"] for item in waiting] == ["hugo"]
    assert "delete from app.notes" in sue.regate("holds", "show", waiting[0]["id"]).stdout
    assert sue.regate("holds", "approve", waiting[0]["id"]).code == 0
    thread.join(30)
    assert came == ["DELETE 0"]
    assert sue.regate("holds", "deny", waiting[0]["id"], check=False).code == 4
    assert [item["fields"]["user"] for item in nodes.first.audit("--kind=hold.answer")] == ["sue"]


def test_a_rotation_at_one_node_is_a_rotation_at_both(nodes: Nodes) -> None:
    for phase in ("init", "update-clients", "update-servers"):
        nodes.first.admin("auth", "rotate", "--type=user", f"--phase={phase}")
        for _ in eventually(f"the second node is in phase {phase}"):
            said = nodes.second.admin("auth", "rotate", "status", "--format=json").stdout
            if any(item["type"] == "user" and item["phase"] == phase for item in json.loads(said)):
                break
        for user in (nodes.first.users["alice"], nodes.at_second("alice")):
            user.login()  # each is signed at one node and trusted at both
        access = nodes.first.users["alice"].access("alice", "mydb")
        with psycopg.connect(f"{access.conninfo} port={nodes.second.port}") as session:
            session.execute("select 1")
    nodes.second.admin("auth", "rotate", "--type=user", "--phase=standby")


def test_a_client_goes_on_with_the_other_node_when_its_own_is_killed(nodes: Nodes) -> None:
    alice = nodes.first.users["alice"]
    alice.login()
    access = alice.access("alice", "mydb")
    with psycopg.connect(_both(access, nodes)) as session:
        assert session.info.port == nodes.first.port
        nodes.first.kill()
        with pytest.raises(psycopg.OperationalError):
            session.execute("select 1")
    with psycopg.connect(_both(access, nodes)) as session:
        assert session.info.port == nodes.second.port
        assert session.execute("select count(*) from app.orders").fetchone() == (3,)
    nodes.second.admin("users", "ls")  # and it still takes changes: a lock that died with its node is gone
    nodes.second.create(clusters.wide_role("made-afterwards"))
    assert clusters.DATABASE in alice.regate("db", "ls").stdout, "commands go to the other node by themselves"
    # So does the service elsewhere, though it joined at the node that is gone: it mints and hears there.
    far = nodes.at_second("alice").access("alice", "mydb", FAR)
    with psycopg.connect(far.conninfo, autocommit=True) as session:
        assert session.execute("select count(*) from app.orders").fetchone() == (3,)
        nodes.second.create(OUT)
        for _ in eventually("the service has heard of the lock and ended the session", seconds=30):
            try:
                session.execute("select 1")
            except psycopg.Error:
                break
    nodes.second.admin("rm", "lock/out")
    nodes.first.start()
    assert "made-afterwards" in nodes.first.admin("get", "role").stdout


@pytest.mark.soak
def test_without_the_state_for_a_minute_nobody_is_let_in_and_whoever_is_in_stays(
    nodes: Nodes, bare_postgres: Postgres
) -> None:
    alice = nodes.first.users["alice"]
    access = alice.access("alice", "mydb")
    with psycopg.connect(access.conninfo, autocommit=True) as session:
        frozen = [bare_postgres.pid, *children(bare_postgres.pid)]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)  # as behind a cut wire
        try:
            with psycopg.connect(access.conninfo) as early:
                early.execute("select 1")
            refused = alice.regate("login", "--password-stdin", stdin=clusters.PASSWORD, check=False)
            assert refused.code != 0
            for _ in eventually("no session begins", seconds=90):
                try:
                    psycopg.connect(access.conninfo).close()
                except psycopg.OperationalError:
                    break
                time.sleep(2)
            with pytest.raises(psycopg.OperationalError, match="no word from its control plane"):
                psycopg.connect(access.conninfo)
            assert session.execute("select 1").fetchone() == (1,)
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
    for _ in eventually("sessions begin again", seconds=30):
        try:
            psycopg.connect(access.conninfo).close()
        except psycopg.OperationalError:
            continue
        break
