"""A private PostgreSQL: loopback, a free port, TLS with client certificates, stopped by its pid.

Over TCP only certificates open it (``hostssl … cert``, common name = user). The superuser exists on the unix
socket alone, in a folder that nobody else can enter. As a program it runs one in the foreground::

    python -m tests.servers.postgres --certificate server.crt --key server.key --client-ca ca.crt --role alice
"""

import argparse
import atexit
import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.servers import install, process

SUPERUSER = "postgres"
CERTIFICATE_ONLY = ("hostssl all all 127.0.0.1/32 cert",)
# The one role that may log in with a password, where a database is to be one that cannot do certificates.
WITH_PASSWORD = ("hostssl all keeper 127.0.0.1/32 scram-sha-256", *CERTIFICATE_ONLY)
# Durability is the server's own subject, not ours: without it a rig starts and loads much faster.
SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "120",
    "shared_buffers": "128MB",
    "log_destination": "jsonlog",
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "server.log",
    "log_rotation_size": "0",
    "log_rotation_age": "0",
    "log_statement": "all",
    "log_connections": "on",
    "log_disconnections": "on",
}


@dataclass(frozen=True, slots=True)
class LoggedStatement:
    """A statement as the server's own log has it: ``prepared`` is the name in ``execute name: …``."""

    text: str
    user: str
    database: str
    application: str
    prepared: str


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server; ``socket`` is the folder of its unix socket."""

    server: process.Server
    programs: Path
    port: int
    socket: Path
    data: Path
    host: str = "localhost"

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self.server.pid

    @property
    def uri(self) -> str:
        """What ``kind: db`` has as its uri."""
        return f"{self.host}:{self.port}"

    def psql(self, sql: str, database: str = "postgres") -> str:
        """Run *sql* as the superuser over the unix socket; the rows, unaligned, without a header."""
        done = subprocess.run(
            [
                "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.socket),
                "-p", str(self.port), "-U", SUPERUSER, "-d", database, "-f", "-",
            ],
            input=sql,
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise process.ServerError(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()

    def create(self, database: str, *roles: str) -> None:
        """Make login roles, and a database that the first of them owns."""
        for role in roles:
            self.psql(f'create role "{role}" login')
        owner = f' owner "{roles[0]}"' if roles else ""
        self.psql(f'create database "{database}"{owner}')

    def log(self) -> list[dict[str, Any]]:
        """The server's log so far, a value per line; a line cut short by a crash is left out."""
        path = self.data / "log" / "server.json"
        records = []
        for line in path.read_text(errors="replace").splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                continue
        return records

    def statements(self) -> list[LoggedStatement]:
        """Every statement the server began to run for a TCP client, as its log has it."""
        return [
            logged
            for record in self.log()
            if record.get("remote_host", "[local]") != "[local]"
            and (logged := _statement(record)) is not None
        ]

    def backends(self, user: str) -> int:
        """How many sessions *user* has at this moment."""
        return int(self.psql(f"select count(*) from pg_stat_activity where usename = '{user}'"))


def _statement(record: Mapping[str, Any]) -> LoggedStatement | None:
    message = str(record.get("message", ""))
    kind, colon, text = message.partition(": ")
    if not colon or not (kind == "statement" or kind.startswith("execute ")):
        return None
    return LoggedStatement(
        text=text,
        user=str(record.get("user", "")),
        database=str(record.get("dbname", "")),
        application=str(record.get("application_name", "")),
        prepared=kind.removeprefix("execute ") if kind != "statement" else "",
    )


def counted(statements: Sequence[LoggedStatement]) -> Counter[str]:
    """How often each text ran, without the semicolon and blanks that clients add or drop."""
    return Counter(statement.text.strip().rstrip(";").rstrip() for statement in statements)


@contextmanager
def running(
    *,
    certificate: Path,
    key: Path,
    client_ca: Path,
    port: int | None = None,
    settings: Mapping[str, str] | None = None,
    hba: Sequence[str] = CERTIFICATE_ONLY,
    folder: Path | None = None,
) -> Iterator[Postgres]:
    """A server for the length of the block; with *folder* its data stays there and is used again."""
    install.ensure("postgres")
    programs = install.postgres_programs()
    assert programs is not None
    with ExitStack() as stack:
        home = folder or stack.enter_context(process.temporary_folder("regate-pg-"))
        home.mkdir(parents=True, exist_ok=True)
        process.own(home, 0o700)
        data = home / "data"
        if not (data / "PG_VERSION").exists():
            _initialise(programs, data)
        chosen = port or process.free_port()
        _configure(data, home, chosen, {**SETTINGS, **(settings or {})}, hba)
        for source, name, mode in (
            (certificate, "server.crt", 0o644),
            (key, "server.key", 0o600),
            (client_ca, "client-ca.crt", 0o644),
        ):
            _give(source, data / name, mode)
        server = process.start(
            "postgres",
            [programs / "postgres", "-D", data],
            log=home / "start.log",
            directory=home,
            stop_signal=signal.SIGINT,
        )
        stack.callback(server.stop)
        server.wait_until(lambda: _accepts(programs, home, chosen), seconds=90)
        yield Postgres(server, programs, chosen, home, data)


def _initialise(programs: Path, data: Path) -> None:
    process.run_as(["cp", "-a", _fresh(programs), data], directory=data.parent)


@cache
def _fresh(programs: Path) -> Path:
    """A database that nobody has started yet; making one takes ten times as long as copying it."""
    kept = ExitStack()
    atexit.register(kept.close)
    data = kept.enter_context(process.temporary_folder("regate-fresh-pg-")) / "data"
    process.run_as(
        [
            programs / "initdb",
            "-D",
            data,
            "-U",
            SUPERUSER,
            "-A",
            "peer",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ],
        directory=data.parent,
    )
    return data


def _configure(data: Path, home: Path, port: int, settings: Mapping[str, str], hba: Sequence[str]) -> None:
    values = {
        "listen_addresses": process.LOOPBACK,
        "port": str(port),
        "unix_socket_directories": str(home),
        "unix_socket_permissions": "0700",
        "ssl": "on",
        "ssl_cert_file": "server.crt",
        "ssl_key_file": "server.key",
        "ssl_ca_file": "client-ca.crt",
        **settings,
    }
    text = "".join(f"{name} = '{value}'\n" for name, value in values.items())
    (data / "postgresql.auto.conf").write_text(text)
    (data / "pg_hba.conf").write_text("\n".join(["local all all peer map=setup", *hba, ""]))
    (data / "pg_ident.conf").write_text("".join(f"setup {who} {SUPERUSER}\n" for who in ("root", _account())))
    for name in ("postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf"):
        process.own(data / name, 0o600)


def _account() -> str:
    account = process.unprivileged()
    return account.pw_name if account else Path.home().owner()


def _give(source: Path, target: Path, mode: int) -> None:
    target.unlink(missing_ok=True)
    target.touch(mode=0o600)
    shutil.copyfile(source, target)
    process.own(target, mode)


def _accepts(programs: Path, home: Path, port: int) -> bool:
    answer = subprocess.run(
        [programs / "pg_isready", "-q", "-h", home, "-p", str(port)], check=False, capture_output=True
    )
    return answer.returncode == 0


def main() -> int:
    """Run a server until interrupted; one line of JSON says where it is once it answers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--client-ca", type=Path, required=True)
    parser.add_argument("--folder", type=Path, help="keep the data here; a temporary folder by default")
    parser.add_argument("--port", type=int, help="a free one by default")
    parser.add_argument("--database", help="a database to make, owned by the first role")
    parser.add_argument("--role", action="append", default=[], help="a login role to make; repeat for more")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with running(
        certificate=options.certificate,
        key=options.key,
        client_ca=options.client_ca,
        port=options.port,
        folder=options.folder,
    ) as server:
        if options.database:
            server.create(options.database, *options.role)
        where = {"pid": server.pid, "uri": server.uri, "port": server.port, "socket": str(server.socket)}
        print(json.dumps(where), flush=True)  # noqa: T201 - the program's answer
        server.server.process.wait()
    return 1


if __name__ == "__main__":
    sys.exit(main())
