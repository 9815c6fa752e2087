"""SecantusDB, a second MongoDB server, of other authors: replica set, transactions, streams, `$lookup`.

It is what the registries have beside FerretDB, and knows what that does not. It takes MONGODB-X509 by itself.
GPL-2.0, a program of its own that only tests start: installed once, by its lock, into the cache.
"""

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pymongo import MongoClient

from gateway.policy import install
from tests.servers import certificates, process
from tests.servers.ferretdb import Files

LOCK: Final = Path(__file__).with_suffix(".lock")
RIGHTS: Final[dict[str, Any]] = {"roles": [{"role": "readWriteAnyDatabase", "db": "admin"}]}
BY_CERTIFICATE: Final[dict[str, Any]] = {"mechanisms": ["MONGODB-X509"]}
"""What createUser needs here; mongod takes a user of ``$external`` for one who has a certificate."""


def ensure() -> Path:
    """The interpreter that runs it; installing takes half a minute, once."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    target = install.cache().parents[1] / "secantusdb" / digest
    with install._only_one(target.parent):
        if not target.is_dir():
            _install(target)
    return target / "bin" / "python"


def _install(target: Path) -> None:
    uv = [sys.executable, "-m", "uv", "--system-certs"]
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / "made"
        python = str(made / "bin" / "python")
        for command in (
            ["venv", "-q", "--python", sys.executable, str(made)],
            ["pip", "install", "-q", "--require-hashes", "--python", python, "-r", str(LOCK)],
        ):
            done = subprocess.run([*uv, *command], capture_output=True, text=True, check=False, timeout=280)
            assert done.returncode == 0, done.stderr[-800:]
        made.replace(target)


@dataclass(slots=True)
class Secantus:
    """A running server; *own* is a certificate that it believes too."""

    server: process.Server
    port: int
    own: certificates.Files

    @property
    def uri(self) -> str:
        """Where the gateway finds it."""
        return f"localhost:{self.port}"

    def direct(self) -> "MongoClient[dict[str, Any]]":
        """Past the gateway."""
        both = self.own.certificate.with_suffix(".both")
        both.write_bytes(self.own.certificate.read_bytes() + self.own.key.read_bytes())
        both.chmod(0o600)
        return MongoClient(
            "localhost", self.port, directConnection=True, tls=True, tlsAllowInvalidCertificates=True,
            tlsCertificateKeyFile=str(both),
        )  # fmt: skip


@contextmanager
def running(files: Files | None, users: Sequence[str] = ()) -> Iterator[Secantus]:
    """A server that wants a client certificate; each of *users* may log in as the subject of one, CN=NAME.

    Without *files* it speaks in the clear, and nobody logs in.
    """
    port = process.free_port()
    with process.temporary_folder("regate-secantus-") as folder:
        authority = certificates.Authority(folder / "own")
        arguments: list[str | Path] = [
            ensure(), "-m", "secantus", f"--host={process.LOOPBACK}", f"--port={port}",
            f"--storage-path={folder}/data", "--log-level=WARNING", "--enable-test-commands",
        ]  # fmt: skip
        if files is not None:
            trusted = folder / "trusted.crt"
            trusted.write_bytes(files.client_ca.read_bytes() + authority.ca.read_bytes())
            arguments += [
                f"--tls-cert-file={files.certificate}", f"--tls-key-file={files.key}",
                f"--tls-ca-file={trusted}", "--tls-require-client-cert",
            ]  # fmt: skip
        server = process.start(
            "secantusdb", arguments, log=folder / "start.log", directory=folder, as_unprivileged=False
        )
        try:
            server.wait_until(lambda: process.listens(port), seconds=90)
            made = Secantus(server, port, authority.client("tests"))
            for user in users:
                with made.direct() as direct:
                    direct["$external"].command("createUser", f"CN={user}", **RIGHTS, **BY_CERTIFICATE)
            yield made
        finally:
            server.stop()
