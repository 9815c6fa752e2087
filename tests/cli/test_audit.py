"""Proving the log with and without its service, and with what was kept elsewhere."""

import json
import shutil
from itertools import count

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.audit import wording
from gateway.model.event import Kind
from gateway.model.identity import Subject
from gateway.model.statement import NameContext, Statement
from gateway.protocols import REGISTRY
from gateway.texts import Texts
from tests.api.rig import Rig
from tests.cli.conftest import Person
from tests.e2e.cluster import eventually

NUMBERS = count()


def _pem(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture
def kept(rig: Rig, admin: Person) -> Person:
    """An administrator who keeps the log's key, and a checkpoint that covers a record."""
    admin.ok("users", "add", f"person-{next(NUMBERS)}", "--roles=access")
    (admin.home / "audit.pem").write_text(admin.ok("auth", "export", "--type=audit"))
    (admin.home / "kept.txt").write_text(_checkpoint(admin, beyond=0))
    return admin


def _checkpoint(admin: Person, *, beyond: int) -> str:
    """The newest checkpoint, once it covers more records than that: it is signed within a second."""
    for _ in eventually("a newer checkpoint"):
        note = admin.ok("audit", "checkpoint")
        if int(note.splitlines()[1]) > beyond:
            return note
    raise AssertionError


def test_the_exported_key_is_that_of_the_log(rig: Rig, kept: Person) -> None:
    assert (kept.home / "audit.pem").read_text() == _pem(rig.authorities.audit_key)


def test_the_service_compares_its_log_with_a_checkpoint_that_was_kept(kept: Person) -> None:
    assert "The audit log is whole" in kept.ok("audit", "verify", "--checkpoint=kept.txt")
    note = (kept.home / "kept.txt").read_text()
    assert "is whole" in kept.ok("audit", "verify", "--checkpoint=-", stdin=note)
    (kept.home / "other.txt").write_text(note.replace("\n", "0\n", 2))
    done = kept.run("audit", "verify", "--checkpoint=other.txt")
    assert (done.code, "the checkpoint that was given" in done.out) == (10, True)
    (kept.home / "empty.txt").write_text("")
    assert kept.run("audit", "verify", "--checkpoint=empty.txt").code == 2
    assert kept.run("audit", "verify", "--checkpoint=missing.txt").code == 2


def test_a_copy_is_proved_without_a_service(rig: Rig, kept: Person, person: Person) -> None:
    copy = shutil.copytree(rig.folder / "data" / "audit", person.home / "audit")
    for name in ("audit.pem", "kept.txt"):
        shutil.copy(kept.home / name, person.home)
    offline = ("audit", "verify", "--dir=audit", "--key=audit.pem")
    assert "The audit log is whole" in person.ok(*offline)
    assert json.loads(person.ok(*offline, "--checkpoint=kept.txt", "--format=json"))["covered"] > 0

    log = next(copy.glob("*.log"))
    log.write_bytes(log.read_bytes().replace(b"user.create", b"user.update", 1))
    done = person.run(*offline)
    assert (done.code, "the first bad record is" in done.err) == (10, True)


def test_an_older_copy_is_noticed_by_a_newer_checkpoint(rig: Rig, kept: Person, person: Person) -> None:
    shutil.copytree(rig.folder / "data" / "audit", person.home / "audit")
    shutil.copy(kept.home / "audit.pem", person.home)
    offline = ("audit", "verify", "--dir=audit", "--key=audit.pem")
    records = json.loads(person.ok(*offline, "--format=json"))["records"]
    kept.ok("users", "add", f"person-{next(NUMBERS)}", "--roles=access")
    (person.home / "newer.txt").write_text(_checkpoint(kept, beyond=records))
    done = person.run(*offline, "--checkpoint=newer.txt")
    assert (done.code, "the trusted checkpoint covers" in done.out) == (10, True)


def test_what_cannot_prove_anything_is_refused(rig: Rig, kept: Person) -> None:
    place = f"--dir={rig.folder / 'data' / 'audit'}"
    (kept.home / "other.pem").write_text(_pem(Ed25519PrivateKey.generate()))
    assert kept.run("audit", "verify", place, "--key=other.pem").code == 10
    (kept.home / "host.pem").write_text(kept.ok("auth", "export", "--type=host"))
    for key in ("host.pem", "missing.pem"):
        done = kept.run("audit", "verify", place, f"--key={key}")
        assert (done.code, "regate auth export --type=audit" in done.err) == (2, True)
    assert kept.run("audit", "verify", f"--dir={kept.home}", "--key=audit.pem").code == 2
    assert kept.run("audit", "verify", place).code == 2


def _record(rig: Rig, **fields: str) -> None:
    rig.wait(lambda: rig.auth.record(Kind.SESSION_QUERY, Subject("local", "test"), **fields))


def test_sealed_statements_are_opened_where_the_auditors_key_is(rig: Rig, admin: Person) -> None:
    public = admin.ok("audit", "keygen", "--out=auditor.key").strip()
    assert (admin.home / "auditor.key").stat().st_mode & 0o777 == 0o600
    assert admin.run("audit", "keygen", "--out=auditor.key").code == 2, "no key is written over"
    (admin.home / "other.key").write_text(wording.new_identity()[0])
    (admin.home / "other.key").chmod(0o600)
    (item,) = REGISTRY["redis"].classify(
        Statement("", "redis", NameContext("", ""), arguments=(b"SET", b"k", b"v"))
    )
    sealed = wording.of(Texts("sealed", (public,)), "", "").beside(item)
    _record(rig, statement="set", session_id="sealed-1", **sealed)
    ls = ("audit", "ls", "--session=sealed-1")
    assert "SET k v" not in admin.ok(*ls)
    (found,) = admin.ok(*ls, "--identity-file=auditor.key", "--format=json").splitlines()
    assert json.loads(found)["fields"]["statement"] == "SET k v"
    done = admin.run(*ls, "--identity-file=other.key")
    assert (done.code, "none of 1 sealed statements" in done.err, "SET k v" in done.out) == (2, True, False)
    (admin.home / "auditor.key").chmod(0o644)
    assert admin.run(*ls, "--identity-file=auditor.key").code == 2, "a key that others can read is no key"


def test_a_text_that_somebody_has_is_found_by_its_digest(rig: Rig, admin: Person) -> None:
    mode = wording.of(Texts("fingerprint"), rig.authorities.mask_salt, f"{rig.authorities.cluster}/audit")
    statement = Statement("select 1", "postgres", NameContext("", ""), server_version="15.0")
    (item,) = REGISTRY["postgres"].classify(statement)
    _record(rig, statement=mode.shown(item), session_id="digest-1", **mode.beside(item))
    said = json.loads(admin.ok("audit", "digest", "-", "--format=json", stdin=" select 1 ;\n"))
    (found,) = said.values()
    assert "digest-1" in admin.ok("audit", "ls", f"--text={found}", "--format=json")
    assert admin.run("audit", "digest", "-", stdin=" ; ").code == 2


def test_a_time_that_is_none_is_named_with_what_was_expected(kept: Person) -> None:
    done = kept.run("audit", "ls", "--since=yesterday")
    assert (done.code, "'yesterday' is not understood" in done.err, "7d or 2h" in done.err) == (2, True, True)
    done = kept.run("audit", "ls", "--since=5m", "--until=1h")
    assert (done.code, "since is later than until" in done.err) == (2, True)
