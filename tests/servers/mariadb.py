"""A private MariaDB: loopback, a free port, TLS with client certificates, stopped by its pid.

Over TCP only certificates open it (``REQUIRE SUBJECT``). The superuser exists on the unix socket alone, in a
folder that nobody else can enter. The general log holds every command that the server takes.
"""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import install, process

SUPERUSER = "root"
# Durability is the server's own subject, not ours: without it a rig starts and loads much faster.
SETTINGS: Mapping[str, str] = {
    "innodb_flush_log_at_trx_commit": "0",
    "innodb_buffer_pool_size": "32M",
    "innodb_log_file_size": "16M",
    "innodb_doublewrite": "0",
    "innodb_use_native_aio": "0",
    "max_connections": "200",
    "skip_name_resolve": "1",
    "performance_schema": "0",
    "max_allowed_packet": "64M",
}
_LINE = re.compile(r"^(?:\d{6} [ \d]\d:\d\d:\d\d)?\t+ *(\d+) (\w[\w ]*?)\t(.*)$")


@dataclass(frozen=True, slots=True)
class LoggedCommand:
    """One command as the server's general log has it: Query, Prepare, Execute, Connect, Init DB and so on."""

    thread: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Mariadb:
    """A running server; ``socket`` is its unix socket."""

    server: process.Server
    port: int
    socket: Path
    general_log: Path
    host: str = "localhost"

    @property
    def uri(self) -> str:
        """What ``kind: db`` has as its uri."""
        return f"{self.host}:{self.port}"

    def ask(self, sql: str, database: str = "") -> str:
        """Run *sql* as the superuser over the unix socket; the rows, with tabs between values."""
        command = ["mariadb", "--no-defaults", "-N", "-B", f"--socket={self.socket}", "-u", SUPERUSER]
        done = subprocess.run(
            [*command, *([database] if database else [])],
            input=sql, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise process.ServerError(f"mariadb: {done.stderr.strip()}")
        return done.stdout.strip()

    def create(self, database: str, *users: str) -> None:
        """Make a database, and users that only a certificate with their name opens."""
        self.ask(f"create database if not exists `{database}`")
        for user in users:
            self.ask(
                f"create user '{user}'@'%' identified by '' require subject '/CN={user}';"
                f"grant all on `{database}`.* to '{user}'@'%'"
            )

    def log(self) -> list[LoggedCommand]:
        """The general log so far, but for the superuser's own connections."""
        found: list[LoggedCommand] = []
        for line in self.general_log.read_text(errors="replace").splitlines():
            match = _LINE.match(line)
            if match is not None:
                found.append(LoggedCommand(int(match[1]), match[2], match[3]))
            elif found:
                last = found.pop()
                found.append(LoggedCommand(last.thread, last.kind, f"{last.text}\n{line}"))
        own = {each.thread for each in found if each.kind == "Connect" and each.text.startswith(SUPERUSER)}
        return [each for each in found if each.thread not in own]


@contextmanager
def running(
    *, certificate: Path, key: Path, client_ca: Path, settings: Mapping[str, str] | None = None
) -> Iterator[Mariadb]:
    """A server for the length of the block."""
    install.ensure("mariadb")
    program = install.program("mariadbd")
    assert program is not None
    with ExitStack() as stack:
        folder = stack.enter_context(process.temporary_folder("regate-my-"))
        for source, name in ((certificate, "tls.crt"), (key, "tls.key"), (client_ca, "ca.crt")):
            shutil.copyfile(source, folder / name)
            process.own(folder / name, 0o600)
        port, data = process.free_port(), folder / "data"
        written = {
            "datadir": str(data),
            "socket": str(folder / "s"),
            "pid_file": str(folder / "pid"),
            "port": str(port),
            "bind_address": process.LOOPBACK,
            "ssl_cert": str(folder / "tls.crt"),
            "ssl_key": str(folder / "tls.key"),
            "ssl_ca": str(folder / "ca.crt"),
            "general_log": "1",
            "general_log_file": str(folder / "general.log"),
            "tmpdir": str(folder),
            **SETTINGS,
            **(settings or {}),
        }
        text = "".join(f"{name} = {value}\n" for name, value in written.items())
        (folder / "my.cnf").write_text(f"[mariadbd]\n{text}")
        process.own(folder / "my.cnf", 0o600)
        _initialise(program, folder)
        server = process.start(
            "mariadb",
            [program, f"--defaults-file={folder / 'my.cnf'}"],
            log=folder / "start.log",
            directory=folder,
            stop_signal=signal.SIGTERM,
        )
        stack.callback(server.stop)
        server.wait_until(lambda: (folder / "s").exists() and _accepts(folder / "s"), seconds=60)
        made = Mariadb(server, port, folder / "s", folder / "general.log")
        # Others of that name would have no password and could come over the network.
        made.ask(
            f"delete from mysql.global_priv where user = '{SUPERUSER}' and host <> 'localhost';"
            "delete from mysql.global_priv where user = ''; flush privileges"
        )
        yield made


def _initialise(program: str, folder: Path) -> None:
    """The tables of the server's own, without accounts that anybody could use over the network."""
    base = Path(program).resolve().parents[1]
    process.run_as(
        [
            "mariadb-install-db", f"--defaults-file={folder / 'my.cnf'}", f"--basedir={base}",
            "--skip-test-db", "--auth-root-authentication-method=normal", "--skip-name-resolve",
        ],
        directory=folder,
    )  # fmt: skip


def _accepts(socket: Path) -> bool:
    done = subprocess.run(
        ["mariadb", "--no-defaults", f"--socket={socket}", "-u", SUPERUSER, "-e", "select 1"],
        capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode == 0
