"""A whole Regate as its users meet it: the real executable, a real PostgreSQL, nothing reached from inside.

Every step is a command of ``regate`` that a person could have typed, so what works here works there. Used by
the end-to-end tests and by the benchmark.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gateway.audit.read import Query, records
from gateway.model.event import Kind
from tests.e2e.access import Access
from tests.servers import postgres, process
from tests.servers.process import LOOPBACK, Server, ServerError, free_port, listens

REGATE = Path(sys.executable).parent / "regate"
DATABASE = "my-postgres"
BRISK = 10_000  # connections a second: no test depends on how fast the machine opens some
PASSWORD = "correct horse battery staple 7"
# A machine that runs tests stands still for a quarter of a second now and then.
PATIENCE = {"deadline_ms": 2000}
# Seconds for what takes tenths of one on a quiet machine, and longer where it is only found by looking again.
AT_ONCE = 10.0
_PIN = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Done:
    """What a command answered."""

    code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """Both streams, for looking for words in."""
        return self.stdout + self.stderr


@dataclass(frozen=True, slots=True)
class User:
    """A person with a profile of their own."""

    name: str
    home: Path
    cluster: "Cluster"

    def regate(self, *arguments: str, stdin: str = "", check: bool = True) -> Done:
        """Run ``regate`` as this person."""
        return self.cluster.run(*arguments, home=self.home, stdin=stdin, check=check)

    def login(self) -> Done:
        """Log in with the password."""
        return self.regate(
            "login", *self.cluster.trust, f"--user={self.name}", "--password-stdin", stdin=PASSWORD + "\n"
        )

    def access(self, db_user: str, db_name: str, database: str = DATABASE) -> Access:
        """A certificate for one database, and where it is used."""
        route = (f"--db-user={db_user}", f"--db-name={db_name}", database)
        self.regate("db", "login", *route)
        values = json.loads(self.regate("db", "env", "--format=json", *route).stdout)
        return Access(
            host=values["PGHOST"],
            port=int(values["PGPORT"]),
            db_user=values["PGUSER"],
            db_name=values["PGDATABASE"],
            certificate=Path(values["PGSSLCERT"]),
            key=Path(values["PGSSLKEY"]),
            ca=Path(values["PGSSLROOTCERT"]),
        )

    @contextmanager
    def tunnel(self, db_user: str, db_name: str, database: str = DATABASE) -> Iterator[Access]:
        """``regate proxy db --tunnel`` for the length of the block: a plain port on the loopback address."""
        port = free_port()
        route = (f"--db-user={db_user}", f"--db-name={db_name}")
        server = process.start(
            "tunnel",
            [self.cluster.executable, "proxy", "db", "--tunnel", f"--port={port}", *route, database],
            log=self.home / f"tunnel-{port}.log",
            directory=self.home,
            environment=self.cluster.environment(self.home),
            as_unprivileged=False,
        )
        try:
            server.wait_until(lambda: listens(port), seconds=60)
            yield Access(LOOPBACK, port, db_user, db_name)
        finally:
            server.stop()


@dataclass(slots=True)
class Cluster:
    """One running ``regate start`` with its database."""

    folder: Path
    port: int
    executable: Path = REGATE
    server: Server | None = None
    pin: str = ""
    database: postgres.Postgres | None = None
    users: dict[str, User] = field(default_factory=dict)

    @property
    def configuration(self) -> Path:
        """The file that ``regate start -c`` reads."""
        return self.folder / "regate.yaml"

    @property
    def proxy(self) -> str:
        """The one public address."""
        return f"localhost:{self.port}"

    @property
    def trust(self) -> tuple[str, str]:
        """What a person types to trust this cluster and no other."""
        return f"--proxy={self.proxy}", f"--ca-pin={self.pin}"

    @property
    def pg(self) -> postgres.Postgres:
        """The database behind it."""
        assert self.database is not None
        return self.database

    @property
    def pid(self) -> int:
        """The gateway's process."""
        assert self.server is not None
        return self.server.pid

    def environment(self, home: Path) -> dict[str, str]:
        """A person's surroundings: their own profile, and nothing of ours."""
        kept = {
            name: os.environ[name] for name in ("LANG", "XDG_CACHE_HOME", "REGATE_OPA") if name in os.environ
        }
        cache = {"XDG_CACHE_HOME": str(Path.home() / ".cache")} | kept
        path = os.pathsep.join([str(self.executable.parent), os.environ.get("PATH", os.defpath)])
        return cache | {"HOME": str(home), "REGATE_HOME": str(home / ".regate"), "PATH": path}

    def run(self, *arguments: str, home: Path, stdin: str = "", check: bool = True, **more: str) -> Done:
        """One command to its end; *more* are variables of its environment."""
        done = subprocess.run(
            [self.executable, *arguments],
            env=self.environment(home) | more,
            cwd=home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check and done.returncode != 0:
            raise ServerError(f"regate {' '.join(arguments)}: {done.returncode}: {done.stdout}{done.stderr}")
        return Done(done.returncode, done.stdout, done.stderr)

    def admin(self, *arguments: str, stdin: str = "", check: bool = True) -> Done:
        """One command of the administrator, on the host itself."""
        home = self.folder / "admin"
        home.mkdir(exist_ok=True)
        return self.run(
            *arguments, home=home, stdin=stdin, check=check, REGATE_CONFIG=str(self.configuration)
        )

    def start(self) -> None:
        """Start the gateway and wait until it says that it is ready."""
        log = self.folder / "start.log"
        log.unlink(missing_ok=True)
        self.server = process.start(
            "regate",
            [self.executable, "--debug", "start", "-c", self.configuration],
            log=log,
            directory=self.folder,
            environment=self.environment(self.folder),
            as_unprivileged=False,
        )
        self.server.wait_until(
            lambda: listens(self.port) and _PIN.search(log.read_text()) is not None, seconds=180
        )
        found = _PIN.search(log.read_text())
        assert found is not None
        self.pin = found.group()

    def stop(self) -> int:
        """Stop it as an operator would."""
        assert self.server is not None
        return self.server.stop(seconds=20)

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.server is not None
        self.server.kill()

    def create(self, *documents: Mapping[str, Any], check: bool = True) -> Done:
        """``regate create --force`` of one file with these resources."""
        text = yaml.safe_dump_all([dict(document) for document in documents])
        return self.admin("create", "--force", "-", stdin=text, check=check)

    def add_user(self, name: str, *roles: str) -> User:
        """An account made by the administrator, taken up and logged in by the person."""
        home = self.folder / f"home-{name}"
        home.mkdir(mode=0o700)
        said = self.admin("users", "add", name, f"--roles={','.join(roles)}", "--format=json").stdout
        token = home / "token"
        token.write_text(json.loads(said)["token"])
        token.chmod(0o600)
        user = User(name, home, self)
        user.regate(
            "users", "accept", *self.trust, f"--token-file={token}", "--password-stdin", stdin=PASSWORD + "\n"
        )
        user.login()
        self.users[name] = user
        return user

    def add_users(self, **roles: str) -> None:
        """``add_user`` for several people with a role each, who do it at the same time."""
        with ThreadPoolExecutor(len(roles)) as pool:
            for made in [pool.submit(self.add_user, name, role) for name, role in roles.items()]:
                made.result()

    def audit(self, *filters: str) -> list[dict[str, Any]]:
        """``regate audit ls`` as values, oldest first."""
        said = self.admin("audit", "ls", "--all", "--format=json", *filters).stdout
        return [json.loads(line) for line in said.splitlines()]

    def server_log(self) -> str:
        """All that the gateway has said so far."""
        return (self.folder / "start.log").read_text()

    def opa_pid(self) -> int:
        """The OPA sidecar: the gateway's child of that name."""
        for child in children(self.pid):
            command = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if Path(command[0].decode()).name == "opa":
                return child
        raise ServerError("the gateway has no child called opa")


def children(pid: int) -> list[int]:
    """The process ids of all children of *pid*, threads' children too."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


def is_alive(pid: int) -> bool:
    """True for a process that runs; one that only waits to be reaped does not."""
    return process.state(Path("/proc", str(pid))) not in {"", "Z"}


def recorded_texts(cluster: Cluster) -> set[str]:
    """What of statements and commands is in the log."""
    wanted = Query(kinds=(Kind.SESSION_QUERY,), oldest_first=True)
    return {item.event.fields["statement"] for item in records(cluster.folder / "data" / "audit", wanted)}


def kill_under_load(cluster: Cluster, load: Callable[[int], None], is_loaded: Callable[[], bool]) -> None:
    """End the gateway at once while four of *load* run, each with a number; they return when it is gone."""
    with ThreadPoolExecutor(4) as pool:
        ends = [pool.submit(load, number) for number in range(1, 5)]
        try:
            for _ in eventually("the load runs", seconds=60):
                if is_loaded():
                    break
        finally:
            cluster.kill()
        for end in ends:
            end.result(60)


def eventually(what: str, *, seconds: float = 30) -> Iterator[None]:
    """Yield again and again until the loop is left; fail with *what* when time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def sleepers(server: postgres.Postgres, marker: str) -> int:
    """How many statements with *marker* in them the database is running."""
    return int(
        server.psql(
            "select count(*) from pg_stat_activity"
            f" where query like '%{marker}%' and state = 'active' and pid <> pg_backend_pid()"
        )
    )


def until_it_runs(server: postgres.Postgres, marker: str) -> None:
    """Wait for a statement to be at the database: before, there is nothing to cancel."""
    for _ in eventually("the statement runs", seconds=60):
        if sleepers(server, marker) == 1:
            return


def role(name: str, version: str = "v7", **spec: Any) -> dict[str, Any]:
    """A role as YAML would hold it."""
    return {"kind": "role", "version": version, "metadata": {"name": name}, "spec": spec}


def wide_role(name: str) -> dict[str, Any]:
    """A role without restriction: every database, user and name."""
    everything = {"db_labels": {"*": "*"}, "db_users": ["*"], "db_names": ["*"]}
    return role(name, allow=everything)


@contextmanager
def running(
    folder: Path | None = None,
    *,
    settings: Mapping[str, str] | None = None,
    also_trusted: Path | None = None,
    port: int | None = None,
    **sections: Any,
) -> Iterator[Cluster]:
    """A cluster with one enrolled PostgreSQL whose certificates are the cluster's own.

    *also_trusted* is a second CA for the database's clients, for legs that do not go through the cluster;
    *sections* are further sections of the gateway's file.
    """
    with ExitStack() as stack:
        home = folder or stack.enter_context(process.temporary_folder("regate-"))
        home.chmod(0o700)
        cluster = Cluster(home, port or free_port())
        configure(cluster, **sections)
        cluster.start()
        stack.callback(cluster.stop)
        cluster.database = stack.enter_context(_enrolled(cluster, settings or {}, also_trusted))
        yield cluster


def configure(cluster: Cluster, **more: Any) -> None:
    """Write the file: all three services, one loopback port, everything below the folder."""
    document = {
        "version": "v3",
        "regate": {"data_dir": str(cluster.folder / "data"), "cluster_name": "e2e"},
        "auth_service": {"enabled": True},
        "proxy_service": {
            "enabled": True,
            "listen_addr": f"{LOOPBACK}:{cluster.port}",
            "public_addr": cluster.proxy,
        },
        "opa": PATIENCE,
        **more,
        "db_service": {"enabled": True, "connects_per_second": BRISK, **more.get("db_service", {})},
    }
    cluster.configuration.write_text(yaml.safe_dump(document))


@contextmanager
def _enrolled(
    cluster: Cluster, settings: Mapping[str, str], also_trusted: Path | None
) -> Iterator[postgres.Postgres]:
    with signed_postgres(cluster, settings, also_trusted) as server:
        cluster.create(
            {
                "kind": "db",
                "version": "v3",
                "metadata": {"name": DATABASE, "description": "the shop", "labels": {"env": "dev"}},
                "spec": {"protocol": "postgres", "uri": server.uri},
            }
        )
        yield server


@contextmanager
def signed_postgres(
    cluster: Cluster, settings: Mapping[str, str], also_trusted: Path | None, *, host: str = "localhost"
) -> Iterator[postgres.Postgres]:
    """A PostgreSQL whose certificate is the cluster's, and which trusts the cluster's clients."""
    out = cluster.folder / "server"
    cluster.admin("auth", "sign", "--format=db", f"--host={host}", f"--out={out}", "--ttl=2190h")
    client_ca = cluster.folder / "db-client.crt"
    trusted = [cluster.admin("auth", "export", "--type=db-client").stdout]
    if also_trusted is not None:
        trusted.append(also_trusted.read_text())
    client_ca.write_text("".join(trusted))
    with (
        process.temporary_folder("regate-pg-") as data,
        postgres.running(
            certificate=out.with_suffix(".crt"),
            key=out.with_suffix(".key"),
            client_ca=client_ca,
            settings=settings,
            hba=postgres.WITH_PASSWORD,
            folder=data,
        ) as server,
    ):
        yield server
