"""The rig of the benchmark: one database, and the ways to it that are compared."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Leg
from tests.e2e import cluster as clusters
from tests.e2e.access import Access
from tests.e2e.cluster import Cluster, role, wide_role
from tests.servers import certificates, pgbouncer
from tests.servers.postgres import SUPERUSER

ROWS = 1_000_000
USER = "bench"
GUARDED = "guarded"
DATABASE = "bench"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything; the quick one shows the direction, the full one the numbers."""

    seconds: float  # connecting counts, so one second would be mostly that
    modes: tuple[str, ...]
    clients: tuple[int, ...]
    connects: int
    copies: int
    scale: int
    is_full: bool


QUICK = Plan(
    seconds=2,
    modes=("prepared",),
    clients=(1, 32),
    connects=20,
    copies=2,
    scale=1,
    is_full=False,
)
FULL = Plan(
    seconds=10,
    modes=("simple", "extended", "prepared"),
    clients=(1, 8, 32),
    connects=200,
    copies=5,
    scale=10,
    is_full=True,
)


@dataclass(frozen=True, slots=True)
class Bench:
    """The rig: one database, three ways to it."""

    cluster: Cluster
    legs: tuple[Leg, ...]
    folder: Path
    plan: Plan

    def leg(self, name: str) -> Leg:
        """The leg called *name*."""
        return next(leg for leg in self.legs if leg.name == name)


@contextmanager
def running(plan: Plan) -> Iterator[Bench]:
    """Start everything; the database trusts the cluster's client CA and, for the other legs, our own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="regate-bench-")))
        folder.chmod(0o755)
        own = certificates.Authority(folder / "own")
        settings = {"log_statement": "none", "log_connections": "off", "log_disconnections": "off"}
        cluster = stack.enter_context(
            clusters.running(settings={**settings, "max_connections": "300"}, also_trusted=own.ca)
        )
        cluster.pg.create(DATABASE, USER, GUARDED)
        _fill(cluster, plan, folder)
        server_ca = folder / "server-ca.crt"
        server_ca.write_text(cluster.admin("auth", "export", "--type=db").stdout)
        client = own.client(USER)
        to_server = certificates.Files(client.certificate, client.key, server_ca)
        legs = [Leg("direct", _access(cluster.pg.port, to_server))]
        pools = {"pgbouncer": "session"} | ({"pgbouncer-transaction": "transaction"} if plan.is_full else {})
        for name, pool_mode in pools.items():
            pooler = stack.enter_context(
                pgbouncer.running(
                    cluster.pg, front=own.server(), backend=to_server, users=(USER,), pool_mode=pool_mode
                )
            )
            legs.append(Leg(name, _access(pooler.port, client)))
        cluster.create(wide_role("bench-wide"))
        legs.append(Leg("regate", cluster.add_user("bench", "bench-wide").access(USER, DATABASE)))
        if plan.is_full:
            cluster.create(_guarded_role())
            guarded = cluster.add_user("guarded", "bench-guarded").access(GUARDED, DATABASE)
            legs.append(Leg("regate-guarded", guarded, _script(folder, plan)))
        yield Bench(cluster, tuple(legs), folder, plan)


def _access(port: int, files: certificates.Files) -> Access:
    return Access("localhost", port, USER, DATABASE, files.certificate, files.key, files.ca)


def _guarded_role() -> dict[str, Any]:
    permission = {
        "match": {"object_kind": ["table"], "schema": ["public"], "name": ["pgbench_accounts"]},
        "permissions": ["SELECT"],
    }
    allow = {"db_labels": {"*": "*"}, "db_users": [GUARDED], "db_names": [DATABASE]}
    return role("bench-guarded", allow={**allow, "db_permissions": [permission]})


def _script(folder: Path, plan: Plan) -> Path:
    # With its built-in script pgbench reads the catalogue first, which a role for one table may not.
    path = folder / "select.sql"
    path.write_text(
        f"\\set aid random(1, {100_000 * plan.scale})\n"
        "SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n"
    )
    return path


def _fill(cluster: Cluster, plan: Plan, folder: Path) -> None:
    pg = cluster.pg
    loader = ["pgbench", "-i", "-q", "-I", "dtgp", "-s", str(plan.scale), "-h", str(pg.socket)]
    subprocess.run([*loader, "-p", str(pg.port), "-U", SUPERUSER, DATABASE], check=True, capture_output=True)
    pg.psql(
        "create unlogged table copied as"
        " select n as id, n % 100 as branch, 0 as balance, rpad('', 84, 'x') as filler"
        f" from generate_series(1, {ROWS}) n; create unlogged table filled (like copied);"
        f"grant all on all tables in schema public to {USER};"
        f"grant select on pgbench_accounts to {GUARDED}; checkpoint",
        DATABASE,
    )
    source = folder / "rows"
    with source.open("w") as rows:
        rows.write(pg.psql("copy copied to stdout", DATABASE) + "\n")
