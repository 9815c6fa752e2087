"""A backup is taken from a running cluster and put back, by the commands that an operator types."""

import json
import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pyrage
import pytest

from tests.e2e.access import Access
from tests.e2e.cluster import Cluster, Done, User, configure, running, wide_role
from tests.e2e.test_nodes import state_in
from tests.servers import certificates
from tests.servers.postgres import Postgres
from tests.servers.process import free_port, temporary_folder

PASSPHRASE = "seven horses and a battery"

pytestmark = pytest.mark.db


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running() as made:
        made.create(wide_role("everything"))
        made.add_user("alice", "everything")
        assert made.database is not None
        made.database.create("mydb", "alice")
        yield made


@pytest.fixture
def alice(cluster: Cluster) -> User:
    return cluster.users["alice"]


@pytest.fixture(scope="module")
def access(cluster: Cluster) -> Access:
    """A certificate for the database, issued before anything is backed up."""
    return cluster.users["alice"].access("alice", "mydb")


def passphrase(cluster: Cluster, text: str = PASSPHRASE) -> str:
    path = cluster.folder / "passphrase"
    path.write_text(text + "\n")
    path.chmod(0o600)
    return f"--passphrase-file={path}"


def backup(cluster: Cluster, name: str) -> Path:
    path = cluster.folder / name
    cluster.admin("backup", f"--output={path}", passphrase(cluster))
    return path


def restore(cluster: Cluster, file: Path, *more: str, check: bool = True) -> Done:
    return cluster.admin("restore", str(file), passphrase(cluster), *more, check=check)


def works(access: Access) -> bool:
    """A certificate from before everything still opens the database."""
    with psycopg.connect(
        host=access.host,
        port=access.port,
        user=access.db_user,
        dbname=access.db_name,
        sslmode="verify-full",
        sslcert=str(access.certificate),
        sslkey=str(access.key),
        sslrootcert=str(access.ca),
    ) as connection:
        return connection.execute("select 1").fetchone() == (1,)


def events(cluster: Cluster, kind: str) -> list[dict[str, object]]:
    return [item["fields"] for item in cluster.audit(f"--kind={kind}")]


def revision(cluster: Cluster) -> int:
    """What the policy began with at the last start."""
    number = events(cluster, "policy.load")[-1]["data_revision"]
    assert isinstance(number, int)
    return number


def test_a_backup_is_sealed_whole_and_private(cluster: Cluster) -> None:
    file = backup(cluster, "first.age")
    data = file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert data.startswith(b"age-encryption.org/v1\n")
    for word in (b"alice", b"everything", b"argon2", b"BEGIN"):
        assert word not in data
    opened = pyrage.passphrase.decrypt(data, PASSPHRASE)
    assert b"alice" in opened  # else the words above would prove nothing
    done = cluster.admin("backup", f"--output={file}", passphrase(cluster), check=False)
    assert (done.code, "would be overwritten" in done.stderr) == (2, True)
    other = cluster.folder / "short.age"
    done = cluster.admin("backup", f"--output={other}", passphrase(cluster, "short"), check=False)
    assert (done.code, "at least 12" in done.stderr, other.exists()) == (2, True, False)
    done = cluster.admin("backup", f"--output={other}", check=False)
    assert (done.code, "no terminal" in done.stderr) == (2, True)


def test_a_restore_undoes_what_came_later_and_says_so(cluster: Cluster, alice: User, access: Access) -> None:
    file = backup(cluster, "second.age")
    before = revision(cluster)
    cluster.admin("users", "add", "mallory", "--roles=access")
    invited = json.loads(cluster.admin("users", "add", "late", "--roles=access", "--format=json").stdout)[
        "token"
    ]
    lock = {"kind": "lock", "version": "v2", "metadata": {"name": "stop"}}
    cluster.create({**lock, "spec": {"target": {"user": "x"}}})
    refused = restore(cluster, file, "--force", check=False)
    assert (refused.code, "the service runs" in refused.stderr) == (2, True)
    records = len(cluster.audit())
    cluster.stop()
    shutil.copytree(cluster.folder / "data" / "audit", cluster.folder / "older")

    refused = restore(cluster, file, check=False)
    assert (refused.code, "there is a state already" in refused.stderr) == (2, True)
    another = passphrase(cluster, "another one entirely")
    wrong = cluster.admin("restore", str(file), another, "--force", check=False)
    assert wrong.code == 2
    assert wrong.stderr.splitlines() == [
        f"error: {file} does not open: the passphrase is another one, or the file was changed"
    ]
    said = restore(cluster, file, "--force").stdout
    assert "3 changes after the backup are undone" in said
    for what in ("user.create", "mallory", "resource.create lock stop"):
        assert what in said

    cluster.start()
    assert works(access)
    names = cluster.admin("users", "ls").stdout
    assert "alice" in names
    assert "mallory" not in names
    assert revision(cluster) > before + 1_000_000
    (event,) = events(cluster, "state.restore")
    assert event["lost_records"] == 3
    assert len(cluster.audit()) > records  # the log went on
    verified = cluster.admin("audit", "verify", check=False)
    assert verified.code == 0, verified.said
    assert not (cluster.folder / "data" / "restored.json").exists()
    token = cluster.folder / "late"
    token.write_text(invited)
    token.chmod(0o600)
    accept = ("users", "accept", *cluster.trust, f"--token-file={token}", "--password-stdin")
    done = alice.regate(*accept, stdin="x" * 20 + "\n", check=False)
    assert done.code != 0


def test_a_lost_disk_is_restored_under_a_new_log(cluster: Cluster, access: Access) -> None:
    file = backup(cluster, "third.age")
    kept = cluster.folder / "kept.txt"
    kept.write_text(cluster.admin("audit", "checkpoint").stdout)
    old_pin = cluster.pin
    cluster.stop()
    data = cluster.folder / "data"
    data.rename(cluster.folder / "lost")

    data.mkdir(mode=0o700)
    audit = shutil.copytree(cluster.folder / "older", data / "audit")
    done = restore(cluster, file, check=False)
    assert (done.code, "fewer records than the backup saw" in done.stderr) == (2, True)
    shutil.rmtree(audit)
    shutil.copytree(cluster.folder / "lost" / "audit", audit)
    path = min(audit.glob("*.log"))
    path.write_bytes(path.read_bytes().replace(b"mallory", b"malorie"))
    done = restore(cluster, file, check=False)
    assert (done.code, "is not the one that the backup saw" in done.stderr) == (2, True)
    shutil.rmtree(audit)
    assert list(data.iterdir()) == []  # nothing was touched

    said = restore(cluster, file).stdout
    assert "There is no audit log here" in said
    assert "cannot be told" in said
    cluster.start()
    assert cluster.pin == old_pin
    assert works(access)
    assert cluster.admin("audit", "verify").code == 0
    note = cluster.admin("audit", "checkpoint").stdout
    assert note.splitlines()[0] != kept.read_text().splitlines()[0]  # one name never signs two pasts
    (event,) = events(cluster, "state.restore")
    assert event["lost_records"] is None
    assert str(event["checkpoints"][0]).startswith("e2e/audit\n")  # type: ignore[index]
    done = cluster.admin("audit", "verify", f"--checkpoint={kept}", check=False)
    assert (done.code, "the checkpoint that was given" in done.stdout) == (10, True)


def test_a_backup_of_a_file_is_put_into_a_postgresql(
    cluster: Cluster, access: Access, bare_postgres: Postgres, authority: certificates.Authority
) -> None:
    """The way from one node to several: the same cluster, its state somewhere else."""
    file = backup(cluster, "for-postgres.backup")
    if not bare_postgres.psql("select 1 from pg_roles where rolname = 'regate'"):
        bare_postgres.psql("create role regate login")
    bare_postgres.psql("create database restored_state owner regate")
    with temporary_folder("regate-") as folder:
        folder.chmod(0o700)
        other = Cluster(folder, free_port())
        storage = state_in(bare_postgres, authority, folder / "state.key", "restored_state")
        configure(other, auth_service={"enabled": True, "storage": storage})
        said = restore(other, file).said
        assert "Restored e2e as of" in said
        again = restore(other, file, check=False)
        assert again.code != 0, "what is there is not written over unasked"
        other.start()
        try:
            assert works(replace(access, port=other.port))
            assert events(other, "state.restore")[-1]["lost_records"] is None
            assert other.pin == cluster.pin
        finally:
            other.stop()


def test_what_is_no_backup_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "spoilt.age"
    path.write_text("hello")
    for name in (path, tmp_path / "missing.age"):
        done = restore(cluster, name, "--force", check=False)
        assert done.code == 2
        assert str(name) in done.stderr
        assert "Traceback" not in done.said
