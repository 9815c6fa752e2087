"""What keeps secrets secret on a person's machine: who is trusted, and what files are refused."""

import os
import socket
import ssl
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.ca import keys
from gateway.ca.issue import mint_host
from gateway.ca.tls import server_context
from gateway.clock import SystemClock, utc
from tests.api.rig import Rig
from tests.cli.conftest import PASSWORD, Person, sign_up, trust

WRONG_PIN = "sha256:" + "0" * 64


def _login(person: Person, *arguments: str) -> tuple[int, str]:
    done = person.run("login", "--user=x", "--password-stdin", *arguments, stdin=PASSWORD + "\n")
    return done.code, done.err


def test_a_proxy_is_never_trusted_at_first_sight(rig: Rig, person: Person) -> None:
    code, said = _login(person, f"--proxy={rig.proxy}")
    assert code == 6
    assert said.startswith(f"error: cannot verify {rig.proxy}: ")
    assert "--ca-pin=sha256:" in said


def test_a_wrong_pin_is_one_sentence_and_nothing_is_kept(rig: Rig, person: Person) -> None:
    code, said = _login(person, f"--proxy={rig.proxy}", f"--ca-pin={WRONG_PIN}")
    assert code == 6
    assert f"expected {WRONG_PIN}, got {rig.pin}" in said
    assert not list((person.home / ".regate").rglob("*.pem"))
    code, _ = _login(person, f"--proxy={rig.proxy}")
    assert code == 6


@pytest.mark.parametrize("pin", ["sha256:00", "md5:" + "0" * 64, "sha256:" + "g" * 64])
def test_what_is_no_pin_is_refused_before_anything_is_dialled(person: Person, pin: str) -> None:
    code, said = _login(person, "--proxy=localhost:1", f"--ca-pin={pin}")
    assert code == 2
    assert "is no pin" in said


def test_the_authority_can_come_from_a_file(rig: Rig, admin: Person, person: Person) -> None:
    (person.home / "ca.pem").write_text(rig.host_ca)
    sign_up(rig, admin, person, "filer")
    fresh = {"REGATE_HOME": str(person.home / "other")}
    done = person.run(
        "login", f"--proxy={rig.proxy}", "--proxy-ca=ca.pem", "--user=filer", "--password-stdin",
        stdin=PASSWORD + "\n", **fresh,
    )  # fmt: skip
    assert done.code == 0, done
    assert "Logged in as: filer" in person.ok("status", **fresh)
    (person.home / "bad.pem").write_text("no certificate")
    assert _login(person, f"--proxy={rig.proxy}", "--proxy-ca=bad.pem")[0] == 2


def test_the_name_that_was_dialled_must_stand_in_the_certificate(rig: Rig, person: Person) -> None:
    code, said = _login(person, f"--proxy=127.0.0.2:{rig.port}", f"--ca-pin={rig.pin}")
    assert code == 8  # it listens on 127.0.0.1 only
    code, said = _login(person, f"--proxy=ip6-localhost:{rig.port}", f"--ca-pin={rig.pin}")
    assert code in {6, 8}
    assert PASSWORD not in said


@pytest.fixture
def impostor(rig: Rig, tmp_path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """A server that answers ping with the real authority, but whose own certificate is another's."""
    other = keys.make("other", SystemClock())
    minted = mint_host(other.host, names=["localhost"], ttl=timedelta(hours=1), now=utc(SystemClock()))
    context = server_context(minted, other.user.pem)
    received: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))
    ping = b'{"cluster": "test", "host_ca": ' + _json(rig.host_ca) + b"}"

    def serve() -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(plain, server_side=True) as tls:
                    received.append(tls.recv(65536))
                    tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(ping), ping))
            except (OSError, ssl.SSLError):
                plain.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield listening.getsockname()[1], received
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(10)


def _json(text: str) -> bytes:
    import json  # noqa: PLC0415

    return json.dumps(text).encode()


def test_an_impostor_that_repeats_the_pinned_authority_gets_no_password(
    rig: Rig, person: Person, impostor: tuple[int, list[bytes]]
) -> None:
    port, received = impostor
    code, said = _login(person, f"--proxy=localhost:{port}", f"--ca-pin={rig.pin}")
    assert code == 6
    assert "cannot verify" in said
    assert len(received) == 1  # the unverified ping, and nothing after it
    assert received[0].startswith(b"GET /v1/ping")
    assert PASSWORD.encode() not in b"".join(received)


def _chmod(mode: int) -> Callable[[Path], None]:
    return lambda path: path.chmod(mode)


def _link(path: Path) -> None:
    kept = path.with_name("elsewhere")
    path.rename(kept)
    path.symlink_to(kept)


SPOILED: list[tuple[str, Callable[[Path], None], str]] = [
    ("", _chmod(0o755), "has mode 0755"),
    ("", _link, "is a symlink"),
    ("profiles", _chmod(0o750), "has mode 0750"),
    ("profiles/{profile}", _chmod(0o701), "has mode 0701"),
    ("profiles/{profile}", _link, "is a symlink"),
    ("profiles/{profile}/key.pem", _chmod(0o640), "has mode 0640"),
    ("profiles/{profile}/key.pem", _link, "is a symlink"),
    ("profiles/{profile}/cert.pem", _chmod(0o644), "has mode 0644"),
    ("profiles/{profile}/profile.json", _chmod(0o604), "has mode 0604"),
    ("profiles/{profile}/proxy-ca.pem", _chmod(0o666), "has mode 0666"),
    ("profiles/{profile}/proxy-ca.pem", _link, "is a symlink"),
    ("current", _chmod(0o622), "has mode 0622"),
]


@pytest.fixture(scope="module")
def template(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a login, to be copied and spoiled."""
    folder = tmp_path_factory.mktemp("template")
    admin, person = Person(folder / "admin", rig.config), Person(folder / "person")
    admin.home.mkdir()
    person.home.mkdir()
    sign_up(rig, admin, person, "spoiled")
    return person.home / ".regate"


@pytest.mark.parametrize(("where", "spoil", "words"), SPOILED)
def test_files_that_others_might_have_reached_are_refused(
    rig: Rig, template: Path, tmp_path: Path, where: str, spoil: Callable[[Path], None], words: str
) -> None:
    import shutil  # noqa: PLC0415

    shutil.copytree(template, tmp_path / ".regate")
    person = Person(tmp_path)
    assert person.run("status").code == 0
    spoil(tmp_path / ".regate" / where.format(profile=f"localhost_{rig.port}"))
    done = person.run("status")
    assert done.code == 2
    assert words in done.err
    assert done.err.count("\n") <= 2


def test_everything_private_is_made_for_the_owner_alone(template: Path) -> None:
    for path in (template, *template.rglob("*")):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_a_login_that_has_ended_is_wiped_at_the_next_command(rig: Rig, admin: Person, person: Person) -> None:
    sign_up(rig, admin, person, "brief")
    login = ("login", *trust(rig), "--user=brief", "--password-stdin", "--ttl=1m")
    person.ok(*login, stdin=PASSWORD + "\n")
    folder = person.home / ".regate" / "profiles" / f"localhost_{rig.port}"
    ended = utc(SystemClock()) - timedelta(hours=2)
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    from gateway.ca.issue import issue_login  # noqa: PLC0415

    key = load_pem_private_key((folder / "key.pem").read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    old = issue_login(
        rig.authorities.user,
        user="brief",
        roles=("access",),
        traits={},
        public_key=key.public_key(),
        ttl=timedelta(hours=1),
        now=ended,
    )
    assert x509.load_pem_x509_certificate(old.pem.encode()).not_valid_after_utc < utc(SystemClock())
    (folder / "cert.pem").write_text(old.pem)
    done = person.run("db", "ls")
    assert done.code == 7
    assert "regate login --proxy=" in done.err
    assert not (folder / "key.pem").exists()
    assert (folder / "proxy-ca.pem").exists()


def test_a_proxy_that_does_not_answer_is_given_up(person: Person) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    code, said = _login(person, f"--proxy=localhost:{port}", f"--ca-pin={WRONG_PIN}")
    listening.close()
    assert code == 8
    assert said.startswith(f"error: no answer from localhost:{port} within 10 seconds")
    assert _login(person, f"--proxy=localhost:{port}", f"--ca-pin={WRONG_PIN}")[0] == 8
    assert _login(person, "--proxy=no-such-host.invalid:1", f"--ca-pin={WRONG_PIN}")[0] == 8


def test_secrets_are_never_arguments(person: Person) -> None:
    from gateway.cli.reference import commands  # noqa: PLC0415

    # What names a file takes no secret.
    given = [
        item for command in commands() for item in command.params if getattr(item, "metavar", "") != "FILE"
    ]
    options = {option for item in given for option in item.opts}
    assert not {name for name in options if name in {"--password", "--token", "--secret", "--totp-code"}}
    done = person.run("users", "accept", "--proxy=localhost:1", "--token-file=-", "--password-stdin")
    assert done.code == 2
    assert "cannot both come from standard input" in done.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_files_of_another_user_are_refused(template: Path, tmp_path: Path) -> None:
    import shutil  # noqa: PLC0415

    shutil.copytree(template, tmp_path / ".regate")
    os.chown(tmp_path / ".regate" / "current", 12345, 12345)
    done = Person(tmp_path).run("status")
    assert done.code == 2
    assert "belongs to user 12345" in done.err
