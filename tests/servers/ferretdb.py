"""FerretDB with SQLite, the MongoDB server that the registries have: built once with Go into the cache.

It has no MONGODB-X509, so ``certified`` stands in front of it for that: it ends TLS, takes the subject of the
client's certificate for the user, as mongod does, and passes everything else on.
"""

import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import bson
from cryptography import x509

from gateway.policy import install
from tests.servers import process

VERSION = "1.24.0"
MODULE = f"github.com/FerretDB/FerretDB@v{VERSION}"
SUM = "h1:7WJmezL48Bj9bYWnhT/bEJgX5gjT5s7LFdHTqkN25rA="
USER, PASSWORD = "worker", "s3cret-of-the-worker"


def ensure() -> Path:
    """The program; building it takes one to four minutes, once."""
    target = install.cache().parents[1] / "ferretdb" / VERSION / "ferretdb"
    with install._only_one(target.parent):
        if not target.exists():
            _build(target)
    return target


def _build(target: Path) -> None:
    go = install._go()
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        command = [go, "mod", "download", "-json", MODULE]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)
        assert found["Sum"] == SUM, "this is not the module that was tried"
        source = Path(folder) / "source"
        shutil.copytree(found["Dir"], source)
        for path in [source, *source.rglob("*")]:
            path.chmod(path.stat().st_mode | 0o200)
        (source / "build" / "version" / "version.txt").write_text(f"v{VERSION}\n")  # the module lacks it
        built = Path(folder) / "ferretdb"
        subprocess.run(
            [go, "build", "-trimpath", "-ldflags=-s -w", "-o", str(built), "./cmd/ferretdb"],
            cwd=source, env=os.environ | {"CGO_ENABLED": "0"}, check=True,
        )  # fmt: skip
        built.replace(target)


@dataclass(frozen=True, slots=True)
class Files:
    """A server's certificate and key, and whose clients it believes."""

    certificate: Path
    key: Path
    client_ca: Path


@dataclass(slots=True)
class Ferret:
    """A running server; the plain port is for the test itself."""

    server: process.Server
    plain: int
    port: int
    host: str = "localhost"

    @property
    def uri(self) -> str:
        """Where the gateway finds it."""
        return f"{self.host}:{self.port}"


@contextmanager
def running(files: Files, *, passwords: bool = False) -> Iterator[Ferret]:
    """A server that wants a client certificate, or with *passwords* ``USER`` and ``PASSWORD`` instead."""
    program = ensure()
    plain, port = process.free_port(), process.free_port()
    with process.temporary_folder("regate-ferret-") as folder:
        copied = {
            "ferretdb": program,
            "tls.crt": files.certificate,
            "tls.key": files.key,
            "ca.crt": files.client_ca,
        }
        for name, source in copied.items():
            shutil.copyfile(source, folder / name)
            process.own(folder / name, 0o700 if name == "ferretdb" else 0o600)
        (folder / "data").mkdir()
        process.own(folder / "data", 0o700)
        arguments: list[str | Path] = [
            folder / "ferretdb", "--handler=sqlite", f"--sqlite-url=file:{folder}/data/",
            f"--state-dir={folder}",
            "--telemetry=disable", "--debug-addr=-", "--log-level=warn",
            f"--listen-addr={process.LOOPBACK}:{plain}", f"--listen-tls={process.LOOPBACK}:{port}",
            f"--listen-tls-cert-file={folder}/tls.crt", f"--listen-tls-key-file={folder}/tls.key",
        ]  # fmt: skip
        if passwords:
            arguments += [
                "--test-enable-new-auth", f"--setup-username={USER}", f"--setup-password={PASSWORD}",
                "--setup-database=admin",
            ]  # fmt: skip
        else:
            arguments += [f"--listen-tls-ca-file={folder}/ca.crt"]
        server = process.start("ferretdb", arguments, log=folder / "start.log", directory=folder)
        try:
            server.wait_until(lambda: process.listens(plain) and process.listens(port), seconds=20)
            yield Ferret(server, plain, port)
        finally:
            server.stop()


class Certified:
    """MONGODB-X509 in front of a server: whoever has a certificate is its subject, and logs in by name."""

    def __init__(self, files: Files, *, behind: int) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(files.certificate, files.key)
        self._context.load_verify_locations(files.client_ca)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._behind = behind
        self._listening = socket.create_server((process.LOOPBACK, 0))
        self.port: int = self._listening.getsockname()[1]
        self.users: list[str] = []  # that logged in, in their order
        self.commands: list[str] = []  # that reached the server, by name
        self.bodies: list[bytes] = []

    @property
    def uri(self) -> str:
        """Where the gateway finds it."""
        return f"localhost:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # accept does not end by close alone
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                accepted, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        with suppress(OSError, struct.error), accepted:
            client = self._context.wrap_socket(accepted, server_side=True)
            der = client.getpeercert(binary_form=True)
            assert der is not None
            subject = x509.load_der_x509_certificate(der).subject.rfc4514_string()
            with client, socket.create_connection((process.LOOPBACK, self._behind)) as server:
                self._relay(client, server, subject)

    def _relay(self, client: ssl.SSLSocket, server: socket.socket, subject: str) -> None:
        logged_in = False
        while message := _message(client):
            request_id = struct.unpack_from("<i", message, 4)[0]
            body = bson.decode(message[21 : 21 + struct.unpack_from("<i", message, 21)[0]])
            name = next(iter(body))
            if name == "authenticate":
                logged_in = body["mechanism"] == "MONGODB-X509" and body["$db"] == "$external"
                self.users.append(subject)
                said = {"dbname": "$external", "user": subject, "ok": 1.0}
                client.sendall(_answer(request_id, said))
                continue
            if not logged_in and name not in {"hello", "ping"}:
                said = {"ok": 0.0, "errmsg": f"command {name} requires authentication", "code": 13}
                client.sendall(_answer(request_id, said))
                continue
            self.commands.append(name)
            self.bodies.append(message)
            server.sendall(message)
            client.sendall(_message(server))


def _message(source: socket.socket) -> bytes:
    """A whole message; nothing at the end."""
    head = _exactly(source, 16)
    if not head:
        return b""
    return head + _exactly(source, struct.unpack_from("<i", head)[0] - 16)


def _exactly(source: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        chunk = source.recv(size - len(parts))
        if not chunk:
            return b""
        parts += chunk
    return parts


def _answer(response_to: int, body: dict[str, object]) -> bytes:
    rest = bytes(4) + b"\0" + bson.encode(body)
    return struct.pack("<iiii", 16 + len(rest), 1, response_to, 2013) + rest
