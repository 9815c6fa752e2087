"""What a decision costs, by the number of roles and databases, beside a rule that decides nothing.

All go through the product's client to one OPA on one socket, and take turns, so that the ratios are those of
one machine and one minute. Beside each median stands OPA's own processor time for a question, which a busy
machine changes less.

python -m benchmarks.policy [--quick]
"""

import argparse
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks import policy_rig
from benchmarks.policy_rig import EMPTY, PEOPLE, Size
from gateway.model.decision import Allowed
from gateway.policy import document
from gateway.policy.sidecar.supervisor import Sidecar
from tests.e2e import cluster as clusters
from tests.e2e.cluster import Cluster, User, wide_role
from tests.servers import process

SIZES = (10, 1_000, 10_000)
LISTS = (100, 10_000)
_BURST = 25
_TRIES = 5
BARS = {
    **{f"query_{person.name}_vs_empty": 2.0 for person in PEOPLE},
    "query_most_vs_least_roles": 1.5,
    "db_ls_10000_vs_100": 10.0,
}

Ask = Callable[[], Awaitable[object]]


class BenchError(RuntimeError):
    """An answer was not the expected one; a number would be a lie."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one question: the median by the clock, and OPA's processor time, in microseconds."""

    clock: float
    opa: float


async def take(asks: Mapping[str, Ask], rounds: int, pid: int, burst: int = _BURST) -> dict[str, Cost]:
    """The cost of each of *asks*, which take turns *rounds* times."""
    taken: dict[str, list[float]] = {name: [] for name in asks}
    processor = dict.fromkeys(asks, 0.0)
    for _ in range(rounds):
        for name, ask in asks.items():
            before = _processor_seconds(pid)
            for _ in range(burst):
                started = time.perf_counter()
                await ask()
                taken[name].append(time.perf_counter() - started)
            processor[name] += _processor_seconds(pid) - before
    return {
        name: Cost(statistics.median(times) * 1e6, processor[name] / len(times) * 1e6)
        for name, times in taken.items()
    }


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def decisions(sidecar: Sidecar, size: Size, rounds: int) -> dict[str, Cost]:
    """Connects and queries of each person, and the empty rule with the same body."""
    client, facts, database = sidecar.client, policy_rig.facts(), size.databases[0]
    asks: dict[str, Ask] = {}
    for person in PEOPLE:
        session = policy_rig.session(person, database, size.number)
        connect = policy_rig.connect(person, database, time.time_ns())
        asks[f"connect {person.name}"] = lambda connect=connect: client.connect(connect)
        asks[f"query {person.name}"] = lambda session=session: client.query(session, facts)
    for name, ask in asks.items():
        decision = await ask()
        if not isinstance(decision, Allowed):
            raise BenchError(f"{name}: {decision}")
    encoded = document.encode([item.to_json() for item in facts])
    item = document.query_item(policy_rig.session(PEOPLE[1], database, size.number).content, encoded)
    body = document.batch({"0": item}, time.time_ns())
    asks["empty rule"] = lambda: client.ask_raw(EMPTY, body, 5.0)
    assert sidecar.pid is not None
    return await take(asks, rounds, sidecar.pid)


async def lists(sidecar: Sidecar, rounds: int) -> dict[str, Cost]:
    """What `db ls` asks, for lists of two lengths."""
    identity, client = policy_rig.identity(PEOPLE[0]), sidecar.client
    asks: dict[str, Ask] = {}
    for count in LISTS:
        listed = policy_rig.databases(count)
        asks[f"visible of {count}"] = lambda listed=listed: client.visible(identity, listed, time.time_ns())
    assert sidecar.pid is not None
    return await take(asks, rounds, sidecar.pid, burst=1)


def ratios(costs: Mapping[int, Mapping[str, Cost]], commands: Mapping[str, float]) -> dict[str, float]:
    """What the bars are about; the worst of all people and sizes."""
    least, most = costs[min(costs)], costs[max(costs)]
    names = [f"query {person.name}" for person in PEOPLE]
    found = {
        f"{name.replace(' ', '_')}_vs_empty{suffix}": max(
            getattr(one[name], unit) / getattr(one["empty rule"], unit) for one in costs.values()
        )
        for name in names
        for unit, suffix in (("clock", ""), ("opa", "_opa"))
    }
    found |= {
        "query_most_vs_least_roles": max(most[name].clock / least[name].clock for name in names),
        "connect_most_vs_least_roles": max(
            most[name].clock / least[name].clock for name in most if name.startswith("connect")
        ),
        "roles": max(costs),
    }
    if commands:
        few, many = commands.values()
        found["db_ls_10000_vs_100"] = many / few
    return {name: round(value, 2) for name, value in found.items()}


async def measure(sizes: Sequence[int], rounds: int) -> dict[int, dict[str, Cost]]:
    """All costs, by the size of the cluster."""
    costs: dict[int, dict[str, Cost]] = {}
    async with policy_rig.running() as sidecar:
        for number in sizes:
            size = policy_rig.size(number)
            started = time.perf_counter()
            await sidecar.push(size.data, number)
            took = time.perf_counter() - started
            print(f"{number} roles, users and databases, in force after {took:.1f} s")
            gc.collect()
            costs[number] = await decisions(sidecar, size, rounds)
        costs[number] |= await lists(sidecar, max(3, rounds // 8))
    return costs


def command() -> dict[str, float]:
    """Seconds that `regate db ls` takes, the least of five, by the length of the list."""
    found: dict[str, float] = {}
    with process.temporary_folder("regate-bench-") as folder:
        cluster = Cluster(folder, process.free_port())
        user: User | None = None
        for count in LISTS:
            listed = [
                {
                    "name": item.name,
                    "protocol": item.protocol,
                    "uri": item.uri,
                    "static_labels": dict(item.labels),
                }
                for item in policy_rig.databases(count)
            ]
            clusters.configure(cluster, db_service={"enabled": True, "databases": listed})
            cluster.start()
            try:
                if user is None:
                    cluster.create(wide_role("wide"))
                    user = cluster.add_user("bench", "wide")
                found[f"db ls of {count}"] = min(_listing(user, count) for _ in range(5))
            finally:
                cluster.stop()
    return found


def _listing(user: User, count: int) -> float:
    for _ in range(_TRIES):
        started = time.perf_counter()
        done = user.regate("db", "ls", check=False)
        took = time.perf_counter() - started
        if done.code == 0:
            break  # on a machine that is busy elsewhere, OPA may be too late
    said = done.stdout
    if said.count("\n") != count + 2:  # the heading has two lines
        raise BenchError(f"db ls: {said.count(chr(10))} lines for {count} databases: {done.stderr}")
    return took


def main() -> int:
    """Print a table, and one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="up to 1,000 roles, without `db ls`: under 50 s")
    options = parser.parse_args()
    gc.freeze()
    costs = uvloop.run(measure(SIZES[:2] if options.quick else SIZES, 8 if options.quick else 40))
    heading = "microseconds (of OPA)"
    print(f"\n{heading:<24}" + "".join(f"{number:>18}" for number in costs))
    for name in costs[max(costs)]:
        row = (one.get(name) for one in costs.values())
        print(f"{name:<24}" + "".join(f"{c.clock:>9.0f} ({c.opa:>6.0f})" if c else " " * 18 for c in row))
    sys.stdout.flush()  # what was measured so far stands, whatever becomes of the rest
    commands = {} if options.quick else command()
    for name, seconds in commands.items():
        print(f"{name:<24}{seconds:>9.2f} s")
    found = ratios(costs, commands)
    missed = [name for name, bar in BARS.items() if found.get(name, 0) > bar]
    bars = ", ".join(f"{name} ≤ {bar:g}" for name, bar in BARS.items() if name in found)
    print(f"\nbars: {bars}; missed: {', '.join(missed) or 'none'}")
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BenchError, process.ServerError) as failure:
        sys.exit(f"bench-policy: {failure}")
