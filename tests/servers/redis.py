"""A private Redis with mutual TLS, and ACL users where a test wants them."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from tests.servers import install, process


@dataclass(frozen=True, slots=True)
class Redis:
    """A running server; the plain port is for the test itself."""

    server: process.Server
    port: int
    plain: int
    host: str = "localhost"

    @property
    def uri(self) -> str:
        """Where the gateway finds it."""
        return f"{self.host}:{self.port}"

    def ask(self, *words: str, database: int = 0) -> str:
        """One command past the gateway."""
        return asked(self.plain, *words, database=database)


_CONNECTION: Any = redis.Connection  # which redis-py has no types for


def asked(port: int, *words: str, database: int = 0) -> str:
    """What ``redis-cli`` would print, without a process for it; an error is an answer as well.

    Raises:
        redis.ConnectionError, redis.TimeoutError: nobody answers.
    """
    connection = _CONNECTION(
        host=process.LOOPBACK, port=port, db=database, socket_timeout=30, decode_responses=True
    )
    try:
        connection.send_command(*words)
        return _shown(connection.read_response()).strip()
    except redis.ResponseError as error:
        return str(error)
    finally:
        connection.disconnect()


def _shown(reply: object) -> str:
    if isinstance(reply, list):
        return "\n".join(map(_shown, reply))
    return "" if reply is None else str(reply)


@contextmanager
def running(
    *, certificate: Path, key: Path, client_ca: Path, users: Mapping[str, str] | None = None
) -> Iterator[Redis]:
    """A server that wants a client certificate; *users* are ACL rules by name."""
    install.ensure("redis")
    program = install.program("redis-server")
    assert program is not None
    port, plain = process.free_port(), process.free_port()
    with process.temporary_folder("regate-redis-") as folder:
        for source, name in ((certificate, "tls.crt"), (key, "tls.key"), (client_ca, "ca.crt")):
            shutil.copyfile(source, folder / name)
            process.own(folder / name, 0o600)
        settings = folder / "redis.conf"
        lines = [
            f"bind {process.LOOPBACK}", f"port {plain}", f"tls-port {port}", 'save ""', f"dir {folder}",
            f"tls-cert-file {folder}/tls.crt", f"tls-key-file {folder}/tls.key",
            f"tls-ca-cert-file {folder}/ca.crt", "tls-auth-clients yes",
            *[f"user {name} {rules}" for name, rules in (users or {}).items()],
        ]  # fmt: skip
        settings.write_text("\n".join(lines) + "\n")
        process.own(settings, 0o600)
        server = process.start("redis", [program, settings], log=folder / "start.log", directory=folder)
        try:
            server.wait_until(lambda: process.listens(port) and process.listens(plain), seconds=60)
            yield Redis(server, port, plain)
        finally:
            server.stop()
