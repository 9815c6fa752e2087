"""What a large estate costs: 1,000 databases that 20 services elsewhere serve, and what `db ls` makes of it.

The auth service, its policy engine and the command are the real ones. The services are connections of one
process here: each joins with the token, follows what it is told, and sends the heartbeats of its databases,
as a service does; they have no policy engine and no database of their own, so that twenty fit on one host.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import measure
from gateway import address
from gateway.config import Join
from gateway.errors import BackendError
from gateway.model.resource import Database
from gateway.tunnel.join import join
from gateway.tunnel.remote import Remote
from tests.e2e import apart
from tests.e2e.cluster import Cluster, children, wide_role
from tests.servers import process
from tests.servers.process import temporary_folder

SERVICES, EACH = 20, 50
BEAT_SECONDS = 10.0


def _databases(service: int) -> list[tuple[Database, str]]:
    labels = {"env": "dev" if service % 2 else "prod", "team": f"team-{service}"}
    return [
        (
            Database(
                f"db-{service:02}-{number:03}", "postgres", "db.internal:5432", "a database", labels=labels
            ),
            "",
        )
        for number in range(EACH)
    ]


async def _service(cluster: Cluster, secret: str, number: int, served: asyncio.Semaphore) -> None:
    """Join, follow and beat until cancelled."""
    server = address.parse(cluster.proxy, default_port=443)
    credentials = await join(Join(server, secret, cluster.pin), "db", f"host-{number}")
    async with Remote(server, credentials) as remote, asyncio.TaskGroup() as tasks:
        tasks.create_task(_follow(remote))
        while True:
            try:
                refused = await remote.register(_databases(number))
            except BackendError:  # too many at once: with the next heartbeat, as a service does
                await asyncio.sleep(BEAT_SECONDS)
                continue
            if refused:
                raise measure.BenchError(f"refused: {refused[0]}")
            served.release()
            await asyncio.sleep(BEAT_SECONDS)


async def _follow(remote: Remote) -> None:
    async for _ in remote.follow():
        pass


def _listed(cluster: Cluster) -> tuple[float, int]:
    """Seconds that ``regate db ls`` takes, and how many databases it shows."""
    began = time.perf_counter()
    said = cluster.users["bench"].regate("db", "ls", "--format=json").stdout
    return time.perf_counter() - began, len(json.loads(said))


def _memory(pids: Sequence[int]) -> float:
    return sum(measure.memory_kb(pid) for pid in pids) / 1024


async def _run(cluster: Cluster, secret: str) -> dict[str, float]:
    parts = [cluster.pid, *children(cluster.pid)]
    cluster.create(wide_role("wide"))
    await asyncio.to_thread(cluster.add_user, "bench", "wide")
    empty, _ = await asyncio.to_thread(_listed, cluster)
    before = [_memory([pid]) for pid in parts]
    served = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as tasks:
        began = time.perf_counter()
        working = [tasks.create_task(_service(cluster, secret, n, served)) for n in range(SERVICES)]
        for _ in range(SERVICES):
            await served.acquire()
        enrolled = time.perf_counter() - began
        lists = [await asyncio.to_thread(_listed, cluster) for _ in range(5)]
        for _ in range(2 * SERVICES):  # a heartbeat or two later
            await served.acquire()
        after = [_memory([pid]) for pid in parts]
        for task in working:
            task.cancel()
    if {count for _, count in lists} != {SERVICES * EACH}:
        raise measure.BenchError(f"not every database is listed: {lists}")
    grown = sum(after) - sum(before)
    return {
        "estate_enrol_s": round(enrolled, 2),
        "estate_db_ls_s": round(measure.percentile([took for took, _ in lists], 50), 2),
        "estate_db_ls_empty_s": round(empty, 2),
        "estate_auth_mb": round(after[0], 1),
        "estate_all_mb": round(sum(after), 1),
        "estate_kb_per_database": round(grown * 1024 / (SERVICES * EACH), 1),
    }


def main() -> int:
    """Measure; the last line is one JSON object."""
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    with temporary_folder("regate-bench-") as folder, apart.centre(Path(folder)) as cluster:
        secret = apart.token(cluster, "estate", uses=SERVICES)
        with contextlib.suppress(asyncio.CancelledError):
            print(json.dumps(asyncio.run(_run(cluster, secret))))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (measure.BenchError, process.ServerError) as failure:
        sys.exit(f"bench: {failure}")
