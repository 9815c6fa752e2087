"""What is measured on one leg: pgbench, COPY, connects, memory and the audit's completeness."""

import argparse
import json
import os
import re
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.e2e.access import Access

_TPS = re.compile(r"^tps = ([0-9.]+) \(without initial connection time\)", re.MULTILINE)


class BenchError(RuntimeError):
    """A client failed; a number would be a lie."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One way to the database; ``script`` replaces ``pgbench -S`` where that may not run."""

    name: str
    access: Access
    script: Path | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """One pgbench run: transactions per second, and the latency of a transaction in milliseconds."""

    tps: float
    p50: float
    p95: float


def percentile(values: Sequence[float], percent: int) -> float:
    """The *percent*-th percentile; the only value when there is one."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _environment(access: Access) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return kept | access.environment


def _run(arguments: Sequence[str], access: Access, **streams: object) -> str:
    done = subprocess.run(
        arguments,
        env=_environment(access),
        stdin=subprocess.DEVNULL,
        capture_output="stdout" not in streams,
        text=True,
        check=False,
        timeout=600,
        **streams,  # type: ignore[call-overload]  # a file for the rows, or nothing
    )
    if done.returncode != 0:
        raise BenchError(f"{' '.join(arguments)}: {done.stderr}")
    return str(done.stdout or "")


def pgbench(leg: Leg, mode: str, clients: int, seconds: float, folder: Path) -> Rate:
    """``pgbench -S`` for whole seconds; latencies come from its own log of every transaction."""
    prefix = folder / "transactions"
    for old in folder.glob("transactions.*"):
        old.unlink()
    what = ["-f", str(leg.script)] if leg.script else ["-S"]
    load = ["-M", mode, "-c", str(clients), "-j", str(min(clients, 2)), "-T", f"{seconds:g}"]
    said = _run(["pgbench", "-n", *what, *load, "--log", f"--log-prefix={prefix}"], leg.access)
    found = _TPS.search(said)
    if found is None or "number of failed transactions: 0 (" not in said:
        raise BenchError(f"{leg.name}: {said}")
    latencies = [
        int(line.split(" ", 3)[2]) / 1000
        for path in folder.glob("transactions.*")
        for line in path.read_text().splitlines()
    ]
    return Rate(float(found.group(1)), percentile(latencies, 50), percentile(latencies, 95))


def copy_out(leg: Leg, table: str) -> float:
    """Seconds that psql takes to read all of *table* with COPY."""
    start = time.perf_counter()
    with Path(os.devnull).open("wb") as nowhere:
        _run(
            ["psql", "-X", "-q", "-c", f"copy {table} to stdout"],
            leg.access,
            stdout=nowhere,
            stderr=subprocess.PIPE,
        )
    return time.perf_counter() - start


def copy_in(leg: Leg, table: str, source: Path) -> float:
    """Seconds that psql takes to fill *table* from a file with COPY."""
    start = time.perf_counter()
    _run(["psql", "-X", "-q", "-c", f"\\copy {table} from '{source}'"], leg.access)
    return time.perf_counter() - start


def connect(leg: Leg) -> float:
    """Milliseconds until a new connection is ready for its first statement."""
    start = time.perf_counter()
    connection = psycopg.connect(leg.access.conninfo)
    took = (time.perf_counter() - start) * 1000
    connection.close()
    return took


def connects_per_second(leg: Leg, seconds: int) -> float:
    """``pgbench -C``: a new connection for each transaction, four clients at once."""
    said = _run(["pgbench", "-n", "-S", "-C", "-c", "4", "-j", "2", "-T", str(seconds)], leg.access)
    found = re.search(r"^tps = ([0-9.]+) \(including reconnection times\)", said, re.MULTILINE)
    if found is None:
        raise BenchError(f"{leg.name}: {said}")
    return float(found.group(1))


def memory_kb(pid: int) -> int:
    """The proportional set size of a process: shared pages are counted once."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    assert found is not None
    return int(found.group(1))


def cpu_seconds(pid: int) -> float:
    """What a process and those that it started and waited for have used of the processor so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(value) for value in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def told(
    about: str, quick: int, full: int, run: Callable[[int, Callable[[str], None]], dict[str, float]]
) -> int:
    """Run as the command line says, *quick* or *full*; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less of everything")
    amount = quick if parser.parse_args().quick else full
    found = run(amount, lambda line: print(line, flush=True))
    print(json.dumps(found), flush=True)
    return 0


def idle_session_kb(leg: Leg, pid: int, sessions: int) -> float:
    """What one more session costs the gateway once it has answered a statement and sits idle."""
    # Open and close as many before: memory that the allocator keeps from the first crowd is not a session's.
    for _ in _crowd(leg, sessions):
        pass
    time.sleep(1)
    before = memory_kb(pid)
    for _ in _crowd(leg, sessions):
        time.sleep(1)
        return (memory_kb(pid) - before) / sessions
    raise AssertionError


def _crowd(leg: Leg, sessions: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(sessions):
            connection = stack.enter_context(psycopg.connect(leg.access.conninfo, autocommit=True))
            connection.execute("select 1")
        yield


def missing(served: Counter[str], recorded: Counter[str]) -> int:
    """How many statements the server ran that the audit does not have, counted text by text."""
    return sum((served - recorded).values())
