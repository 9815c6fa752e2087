"""Every authority replaced while people work: through all phases, back again, and never finished."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e import cluster as clusters
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.conftest import furnish
from tests.servers import process
from tests.servers.process import temporary_folder

pytestmark = pytest.mark.db

FORWARD = ("init", "update-clients", "update-servers", "standby")


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A cluster of its own: what happens to its authorities must not reach the other tests."""
    with temporary_folder("regate-") as folder, clusters.running(folder) as running:
        furnish(running)
        yield running


@pytest.fixture
def rotating(own: Cluster) -> Iterator[Cluster]:
    """The same, left without a rotation under way and with everybody logged in, however the test ends."""
    yield own
    if not process.listens(own.port):
        own.start()
    for kind, phase in _phases(own).items():
        if phase == "standby":
            continue
        for back in ("rollback", "standby") if phase != "rollback" else ("standby",):
            _rotate(own, kind, back)
    shown = json.loads(own.admin("status", "-c", str(own.configuration), "--format=json").stdout)
    own.pin = shown["ca_pin"]
    for user in own.users.values():
        if user.regate("db", "ls", check=False).code != 0:
            user.login()
    if own.admin("auth", "export", "--type=db-client").stdout != (own.pg.data / "client-ca.crt").read_text():
        _trust_now(own)


def _rotate(cluster: Cluster, kind: str, phase: str) -> dict[str, Any]:
    said = cluster.admin(
        "auth", "rotate", f"--type={kind}", "--manual", f"--phase={phase}", "--format=json"
    ).stdout
    shown: dict[str, Any] = json.loads(said)
    assert shown["phase"] == phase
    return shown


def _phases(cluster: Cluster) -> dict[str, str]:
    found = json.loads(cluster.admin("auth", "rotate", "status", "--format=json").stdout)
    return {item["type"]: item["phase"] for item in found}


def _works(cluster: Cluster) -> None:
    """alice gets a new certificate and a new session with it."""
    alice = cluster.users["alice"]
    alice.regate("db", "logout", clusters.DATABASE)
    with psycopg.connect(alice.access("alice", "mydb").conninfo) as session:
        assert session.execute("select count(*) from app.orders").fetchone() == (3,)


def _trust(cluster: Cluster, name: str, text: str) -> None:
    """Give the database server a file, as its operator would, and let it read its files again."""
    path = cluster.pg.data / name
    path.write_text(text)
    process.own(path, 0o600)
    cluster.pg.psql("select pg_reload_conf()")


def _trust_now(cluster: Cluster) -> None:
    """The server trusts the authority of the moment, as before the test."""
    _trust(cluster, "client-ca.crt", cluster.admin("auth", "export", "--type=db-client").stdout)
    for _ in eventually("the server has read its files"):
        if cluster.users["alice"].regate("db", "ls", check=False).code != 0:
            cluster.users["alice"].login()
        if _opens(cluster):
            break


def _opens(cluster: Cluster) -> bool:
    try:
        _works(cluster)
    except psycopg.OperationalError:
        return False
    return True


def _database_checks(cluster: Cluster) -> dict[str, str]:
    """What the doctor says about databases and their part in a rotation: text by name."""
    said = cluster.admin("doctor", "-c", str(cluster.configuration), "--format=json", check=False).stdout
    return {
        check["name"]: f"{check['verdict']}: {check['text']}"
        for check in json.loads(said)
        if check["name"].startswith("database ")
    }


def _copy(access: Any, folder: Path) -> tuple[Path, Path]:
    """A certificate and key that outlive the profile's."""
    kept = folder / "old.crt", folder / "old.key"
    for source, target in zip((access.certificate, access.key), kept, strict=True):
        target.touch(mode=0o600)
        target.write_bytes(source.read_bytes())
    return kept


def test_logins_live_through_a_rotation_and_old_ones_end_with_it(rotating: Cluster, tmp_path: Path) -> None:
    alice = rotating.users["alice"]
    access = alice.access("alice", "mydb")
    certificate, key = _copy(access, tmp_path)
    with psycopg.connect(access.conninfo) as session:
        for phase in FORWARD[:3]:
            _rotate(rotating, "user", phase)
            assert session.execute("select 1").fetchone() == (1,)
            with psycopg.connect(f"{access.conninfo} sslcert={certificate} sslkey={key}") as old:
                assert old.execute("select 2").fetchone() == (2,)
            _works(rotating)
        alice.login()
        shown = _rotate(rotating, "user", "standby")
        assert len(shown["authorities"]) == 1
        assert session.execute("select 3").fetchone() == (3,), "a session that is open stays open"
    with pytest.raises(psycopg.OperationalError, match=r"unknown ca|closed|eof"):
        psycopg.connect(f"{access.conninfo} sslcert={certificate} sslkey={key}")
    refused = rotating.users["bob"].regate("db", "ls", check=False)
    assert refused.code != 0
    assert "run: regate login" in refused.said
    rotating.users["bob"].login()
    _works(rotating)


def test_the_host_authority_is_learned_before_it_is_in_use(rotating: Cluster) -> None:
    before = rotating.pin
    carol = rotating.users["carol"]
    for phase in FORWARD:
        _rotate(rotating, "host", phase)
        for name in ("alice", "bob"):
            rotating.users[name].regate("status")
        _works(rotating)
    after = json.loads(rotating.admin("status", "-c", str(rotating.configuration), "--format=json").stdout)
    assert after["ca_pin"] != before
    stale = carol.regate("status", check=False)
    assert stale.code != 0, "who missed the whole rotation has to be told the new pin"
    assert "cannot verify" in stale.said
    refused = carol.regate(
        "login", *rotating.trust, "--user=carol", "--password-stdin", stdin=clusters.PASSWORD, check=False
    )
    assert "has not the pinned authority" in refused.said
    rotating.pin = after["ca_pin"]
    carol.login()
    carol.regate("status")
    kept = (rotating.users["alice"].home / ".regate").rglob("*-ca.pem")
    assert all(path.read_text().count("BEGIN CERTIFICATE") == 1 for path in kept), "the old one is forgotten"


def test_databases_are_signed_anew_one_after_the_other(rotating: Cluster) -> None:
    name = f"database {clusters.DATABASE}"
    for phase in FORWARD[:3]:
        _rotate(rotating, "db", phase)
        _works(rotating)
    assert _database_checks(rotating)[f"{name} (db)"].startswith("bad: its certificate is of the old")
    out = rotating.folder / "server-2"
    rotating.admin("auth", "sign", "--format=db", "--host=localhost", f"--out={out}", "--ttl=2190h")
    _trust(rotating, "server.key", out.with_suffix(".key").read_text())
    _trust(rotating, "server.crt", out.with_suffix(".crt").read_text())
    for _ in eventually("the server shows its new certificate"):
        if _database_checks(rotating)[f"{name} (db)"].startswith("ok: "):
            break
    _rotate(rotating, "db", "standby")
    _works(rotating)


def test_a_database_that_trusts_only_the_old_authority_is_named_before_it_matters(rotating: Cluster) -> None:
    name = f"database {clusters.DATABASE} (db-client)"
    with psycopg.connect(rotating.users["alice"].access("alice", "mydb").conninfo) as session:
        _rotate(rotating, "db-client", "init")
        assert _database_checks(rotating)[name].startswith("bad: it trusts only the old")
        _trust(rotating, "client-ca.crt", rotating.admin("auth", "export", "--type=db-client").stdout)
        for _ in eventually("the server trusts the new authority"):
            if _database_checks(rotating)[name].startswith("ok: "):
                break
        for phase in FORWARD[1:]:
            _rotate(rotating, "db-client", phase)
            _works(rotating)
            assert session.execute("select 1").fetchone() == (1,)
    _trust_now(rotating)


def test_a_rollback_ends_where_it_began_and_a_forgotten_phase_stays_open(rotating: Cluster) -> None:
    alice = rotating.users["alice"]
    exported = rotating.admin("auth", "export", "--type=user").stdout
    _rotate(rotating, "user", "init")
    _rotate(rotating, "user", "update-clients")
    alice.login()  # signed by the authority that is about to be withdrawn
    _works(rotating)
    for wrong in ("init", "standby"):
        refused = rotating.admin("auth", "rotate", "--type=user", f"--phase={wrong}", check=False)
        assert refused.code == 5
        assert "does not follow" in refused.said
    assert rotating.stop() == 0
    rotating.start()  # whoever forgot it finds it where it was
    assert _phases(rotating)["user"] == "update-clients"
    _works(rotating)
    _rotate(rotating, "user", "rollback")
    _works(rotating)
    _rotate(rotating, "user", "standby")
    assert rotating.admin("auth", "export", "--type=user").stdout == exported
    assert alice.regate("db", "ls", check=False).code != 0, (
        "what the withdrawn authority signed is worth nothing"
    )
    alice.login()
    _works(rotating)


def test_without_grace_every_login_ends_at_once(rotating: Cluster) -> None:
    rotating.admin("auth", "rotate", "--type=user", "--grace-period=0s")
    assert rotating.users["alice"].regate("db", "ls", check=False).code != 0
    for name in ("alice", "bob", "carol"):
        rotating.users[name].login()
    _works(rotating)


def test_only_an_administrator_rotates_and_each_step_is_recorded(rotating: Cluster) -> None:
    refused = rotating.users["alice"].regate("auth", "rotate", "--type=user", check=False)
    assert refused.code == 3
    taken = ("init", "rollback", "standby")
    for phase in taken:
        _rotate(rotating, "db-client", phase)
    steps = [
        (event["fields"]["authority"], event["fields"]["rotation"])
        for event in rotating.audit("--kind=cert_authority.rotate")
    ]
    assert steps[-3:] == [("db-client", phase) for phase in taken]
    secrets = subprocess.run(
        ["grep", "-rl", "PRIVATE KEY", rotating.folder / "data"], capture_output=True, text=True, check=False
    )
    assert secrets.stdout == ""
