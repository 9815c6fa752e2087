"""A private pgbouncer with mutual TLS on both legs: what Regate's speed is measured against.

It checks certificates and nothing else, so it is the fair neighbour: the same hops and the same encryption,
without a question per query.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import install, process
from tests.servers.certificates import Files
from tests.servers.postgres import Postgres


@dataclass(frozen=True, slots=True)
class PgBouncer:
    """A running pooler."""

    server: process.Server
    port: int
    host: str = "localhost"


@contextmanager
def running(
    behind: Postgres,
    *,
    front: Files,
    backend: Files,
    users: tuple[str, ...],
    pool_mode: str = "session",
) -> Iterator[PgBouncer]:
    """A pooler before *behind*: *front* is shown to clients (its ``ca`` signs theirs), *backend* behind."""
    install.ensure("pgbouncer")
    program = install.program("pgbouncer")
    assert program is not None
    port = process.free_port()
    with process.temporary_folder("regate-pgb-") as folder:
        _write_files(folder, front, backend, users)
        settings = folder / "pgbouncer.ini"
        settings.write_text(_settings(folder, port, behind, pool_mode))
        process.own(settings, 0o600)
        server = process.start("pgbouncer", [program, settings], log=folder / "start.log", directory=folder)
        try:
            server.wait_until(lambda: process.listens(port), seconds=60)
            yield PgBouncer(server, port)
        finally:
            server.stop()


def _write_files(folder: Path, front: Files, backend: Files, users: tuple[str, ...]) -> None:
    for side, files in (("front", front), ("back", backend)):
        for source, ending in ((files.certificate, "crt"), (files.key, "key"), (files.ca, "ca")):
            target = folder / f"{side}.{ending}"
            target.touch(mode=0o600)
            shutil.copyfile(source, target)
            process.own(target, 0o600)
    listed = folder / "users.txt"
    listed.write_text("".join(f'"{user}" ""\n' for user in users))
    process.own(listed, 0o600)


def _settings(folder: Path, port: int, behind: Postgres, pool_mode: str) -> str:
    values = {
        "listen_addr": process.LOOPBACK,
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "cert",
        "auth_file": folder / "users.txt",
        "pool_mode": pool_mode,
        "default_pool_size": 64,
        "max_client_conn": 400,
        "client_tls_sslmode": "verify-full",
        "client_tls_cert_file": folder / "front.crt",
        "client_tls_key_file": folder / "front.key",
        "client_tls_ca_file": folder / "front.ca",
        "server_tls_sslmode": "verify-full",
        "server_tls_cert_file": folder / "back.crt",
        "server_tls_key_file": folder / "back.key",
        "server_tls_ca_file": folder / "back.ca",
        "log_connections": 0,
        "log_disconnections": 0,
        "ignore_startup_parameters": "extra_float_digits",
    }
    lines = [f"{name} = {value}" for name, value in values.items()]
    database = f"* = host={behind.host} port={behind.port}"
    return "\n".join(["[databases]", database, "[pgbouncer]", *lines, ""])
