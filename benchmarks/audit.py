"""How fast the audit log takes events, next to the disk's own speed in the same run.

    python -m benchmarks.audit [--directory DIR] [--seconds N]

The yardstick is a plain loop of one write and one fdatasync of a record of the same size, alone on the disk.
The last line is one JSON object: events per second with one and with 32 waiting clients, p50 and p99 at a
fixed rate of 1,000 events a second, as numbers and as ratios to the plain loop, and what a record costs the
processor.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit.encode import body, canonical
from gateway.audit.log import AuditLog
from gateway.audit.tree import Frontier, leaf_hash
from gateway.clock import SystemClock, new_id
from gateway.model.event import Event, Kind

CLOCK = SystemClock()
RATE = 1000  # events a second, for the latencies
FIELDS = {
    "user": "alice",
    "roles": ["access", "db-access"],
    "database": "my-postgres",
    "protocol": "postgres",
    "db_user": "alice",
    "db_name": "mydb",
    "session_id": "01KAAAAAAAAAAAAAAAAAAAAAAA",
    "client_address": "127.0.0.1:55555",
    "decision_id": "01KAAAAAAAAAAAAAAAAAAAAAAB",
    "policy_revision": "9f3c" * 8,
    "data_revision": 41,
    "input_digest": "ab" * 32,
    "phase": "execute",
    "operation": "select",
    "class": "read",
    "effects": [
        {
            "operation": "select",
            "class": "read",
            "object": {"kind": "table", "catalog": "mydb", "schema": "public", "name": "pgbench_accounts"},
            "columns": ["abalance", "aid"],
            "has_where": True,
            "limit": None,
        }
    ],
    "complete": True,
    "fingerprint": "0123456789abcdef",
    "statement": "SELECT abalance FROM pgbench_accounts WHERE aid = $1",
}


def event() -> Event:
    """A statement's record, as one from a benchmark would be."""
    now = CLOCK.now_ns()
    return Event(Kind.SESSION_QUERY, new_id(now), now, FIELDS)


def end(of: Event) -> Event:
    """Its outcome."""
    now = CLOCK.now_ns()
    fields = {"session_id": FIELDS["session_id"], "query_id": of.id, "rows": 1, "duration_ns": 400_000}
    return Event(Kind.SESSION_QUERY_END, new_id(now), now, fields)


def plain(directory: Path, seconds: float) -> list[float]:
    """Seconds for each write and fdatasync of one record."""
    line = canonical(event(), 0) + b"\n"
    fd = os.open(directory / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    took: list[float] = []
    stop = time.perf_counter() + seconds
    while (start := time.perf_counter()) < stop:
        os.write(fd, line)
        os.fdatasync(fd)
        took.append(time.perf_counter() - start)
    os.close(fd)
    return took


async def saturated(log: AuditLog, clients: int, seconds: float) -> tuple[float, list[float]]:
    """Statements per second when *clients* record one after the other, and how long each waited."""
    took: list[float] = []
    stop = time.perf_counter() + seconds

    async def client() -> None:
        while (start := time.perf_counter()) < stop:
            statement = event()
            await log.append([statement])
            took.append(time.perf_counter() - start)
            log.post(end(statement))

    begun = time.perf_counter()
    await asyncio.gather(*[client() for _ in range(clients)])
    return len(took) / (time.perf_counter() - begun), took


async def paced(log: AuditLog, seconds: float) -> list[float]:
    """How long each record waited at a fixed rate of events, half of them outcomes."""
    took: list[float] = []

    async def one() -> None:
        start = time.perf_counter()
        statement = event()
        await log.append([statement])
        took.append(time.perf_counter() - start)
        log.post(end(statement))

    async with asyncio.TaskGroup() as group:
        begun = time.perf_counter()
        for number in range(int(seconds * RATE / 2)):
            group.create_task(one())
            await asyncio.sleep(max(0.0, begun + (number + 1) * 2 / RATE - time.perf_counter()))
    return took


def per_call(function: Callable[[], object], count: int = 20_000) -> float:
    """Microseconds a call, the best of five rounds: the others were disturbed."""
    rounds = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(count // 5):
            function()
        rounds.append((time.perf_counter() - start) / (count // 5) * 1e6)
    return min(rounds)


def costs() -> dict[str, float]:
    """What a record costs the processor: the line, its leaf, its place in the tree."""
    one, line, frontier, leaf = event(), canonical(event(), 1_000_000), Frontier(), leaf_hash(b"")
    return {
        "encode_us": round(per_call(lambda: body(one)), 2),
        "leaf_us": round(per_call(lambda: leaf_hash(line)), 2),
        "tree_us": round(per_call(lambda: frontier.append(leaf)), 2),
        "bytes": len(line) + 1,
    }


def milliseconds(took: list[float]) -> tuple[float, float]:
    """The median and the 99th percentile."""
    cuts = statistics.quantiles(took, n=100)
    return round(cuts[49] * 1e3, 3), round(cuts[98] * 1e3, 3)


async def measure(directory: Path, seconds: float) -> dict[str, float]:
    """All numbers, the yardstick first."""
    found: dict[str, float] = dict(costs())
    disk = plain(directory, seconds)
    found["plain_per_s"] = round(1 / statistics.fmean(disk))
    found["plain_p50_ms"], found["plain_p99_ms"] = milliseconds(disk)
    log = await AuditLog.open(
        directory / "audit", key=Ed25519PrivateKey.generate(), origin="benchmark", clock=CLOCK
    )
    for clients in (1, 32):
        rate, took = await saturated(log, clients, seconds)
        found[f"statements_per_s_{clients}"] = round(rate)
        found[f"events_per_s_{clients}"] = round(2 * rate)
        found[f"p50_ms_{clients}"], found[f"p99_ms_{clients}"] = milliseconds(took)
    found["paced_p50_ms"], found["paced_p99_ms"] = milliseconds(await paced(log, seconds))
    await log.close()
    found["events_vs_plain"] = round(found["events_per_s_32"] / found["plain_per_s"], 2)
    found["paced_p50_vs_plain"] = round(found["paced_p50_ms"] / found["plain_p50_ms"], 2)
    return found


def main() -> None:
    """Measure, and print a table and the JSON line."""
    parser = argparse.ArgumentParser(description="speed of the audit log")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="where the disk is")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each of the four measurements")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=options.directory, prefix="regate-audit-") as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        found = runner.run(measure(Path(directory), options.seconds))
    for name, value in found.items():
        print(f"{name:24} {value:>12}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
