"""A MySQL 8-compatible server: go-mysql-server in memory, built once from its folder beside this file.

It stands in for MySQL 8, which the distribution does not have: its greeting, its dialect, and a login with
``caching_sha2_password`` over TLS are real. It does not enforce ``REQUIRE`` and knows no general log. The
program is kept in the cache folder under the digest of its sources; a second build is not needed.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pymysql

from tests.servers import gobuild, process

SUPERUSER: Final = "root"
_SOURCES: Final = Path(__file__).parent / "go-mysql-server"


@dataclass(frozen=True, slots=True)
class Gomysql:
    """A running server; the superuser has no password and comes from this machine only."""

    server: process.Server
    port: int
    host: str = "localhost"

    @property
    def uri(self) -> str:
        """What ``kind: db`` has as its uri."""
        return f"{self.host}:{self.port}"

    def ask(self, sql: str, database: str = "") -> tuple[tuple[Any, ...], ...]:
        """Run one statement as the superuser, in the clear; its rows."""
        with (
            pymysql.connect(
                host=process.LOOPBACK, port=self.port, user=SUPERUSER, database=database or None,
                ssl_disabled=True, autocommit=True,
            ) as connection,
            connection.cursor() as cursor,
        ):  # fmt: skip
            cursor.execute(sql)
            return tuple(cursor.fetchall())

    def create(self, database: str, user: str, password: str) -> None:
        """Make a database, and a user who logs in to it with ``caching_sha2_password``."""
        self.ask(f"create database if not exists `{database}`")
        self.ask(f"create user '{user}'@'%' identified with caching_sha2_password by '{password}'")
        self.ask(f"grant all on `{database}`.* to '{user}'@'%'")


def program() -> Path:
    """Where the built program is; built now if it is not there."""
    return gobuild.program("gomysql", _SOURCES)


@contextmanager
def running(*, certificate: Path, key: Path, client_ca: Path) -> Iterator[Gomysql]:
    """A server for the length of the block."""
    built = program()
    with ExitStack() as stack:
        folder = stack.enter_context(process.temporary_folder("regate-gm-"))
        for source, name in (
            (certificate, "tls.crt"),
            (key, "tls.key"),
            (client_ca, "ca.crt"),
            (built, "gomysql"),
        ):
            shutil.copyfile(source, folder / name)
            process.own(folder / name, 0o700 if source is built else 0o600)
        port = process.free_port()
        server = process.start(
            "gomysql",
            [
                folder / "gomysql", f"-address={process.LOOPBACK}:{port}",
                f"-certificate={folder / 'tls.crt'}",
                f"-key={folder / 'tls.key'}", f"-ca={folder / 'ca.crt'}",
            ],
            log=folder / "start.log",
            directory=folder,
        )  # fmt: skip
        stack.callback(server.stop)
        found = Gomysql(server, port)
        server.wait_until(lambda: _answers(found), seconds=60)
        yield found


def _answers(server: Gomysql) -> bool:
    try:
        return server.ask("select 1") == ((1,),)
    except (pymysql.Error, OSError):
        return False
