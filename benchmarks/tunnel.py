"""What the tunnel costs: the same database through one process, and through proxy and database service.

Both ways pass the same proxy and take turns, so that the ratios are those of one machine and one minute.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import measure
from benchmarks.measure import Leg
from tests.e2e import apart
from tests.e2e import cluster as clusters
from tests.e2e.cluster import children, wide_role
from tests.servers import process
from tests.servers.postgres import SUPERUSER
from tests.servers.process import temporary_folder

ROWS = 1_000_000
MEGABYTES = 6.9  # that many of these rows are
CONNECTS, CONNECTS_IN_TURN = 20, 5  # of a round, and on one leg before it is the other's turn
WHAT = ("statement", "MB of COPY", "connect")
CLIENTS = 32
FAR = "far"


@dataclass(slots=True)
class Spent:
    """What some processes, by part, used of the processor for so many of something."""

    parts: Mapping[str, Sequence[int]]
    number: float = 0.0
    seconds: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def of(self, number: float) -> Iterator["Spent"]:
        """So many of it happen in the block."""
        before = self._used()
        yield self
        self.number += number
        now = self._used()
        for part in self.parts:
            self.seconds[part] += now[part] - before[part]

    def each(self) -> dict[str, float]:
        """Seconds for one, by part."""
        return {part: self.seconds[part] / self.number for part in self.parts}

    def _used(self) -> dict[str, float]:
        return {part: sum(map(measure.cpu_seconds, pids)) for part, pids in self.parts.items()}


def main() -> int:
    """Measure for as long as the command line says; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=10, help="of each pgbench run")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(temporary_folder("regate-bench-")))
        cluster = stack.enter_context(clusters.running(settings={"max_connections": "200"}))
        cluster.pg.create("bench", "bench")
        loader = ["pgbench", "-i", "-q", "-I", "dtgp", "-s", "5", "-h", str(cluster.pg.socket)]
        place = ["-p", str(cluster.pg.port), "-U", SUPERUSER, "bench"]
        subprocess.run([*loader, *place], check=True, capture_output=True)
        cluster.pg.psql(
            f"create unlogged table copied as select n from generate_series(1, {ROWS}) n;"
            "grant all on all tables in schema public to bench",
            "bench",
        )
        listed = [apart.database(cluster.pg, FAR)]
        service = apart.service(cluster, cluster.folder / FAR, apart.token(cluster, FAR), listed)
        service.start()
        stack.callback(service.stop)
        apart.until_served(cluster, 1, FAR)
        cluster.create(wide_role("wide"))
        user = cluster.add_user("bench", "wide")
        near = Leg("one process", user.access("bench", "bench"))
        far = Leg("tunnel", user.access("bench", "bench", FAR))
        rates: dict[str, list[float]] = {near.name: [], far.name: []}
        parts = {"proxy": [cluster.pid, *children(cluster.pid)]}
        parts["service"] = [service.pid, *children(service.pid)]
        spent = {(leg.name, what): Spent(parts) for leg in (near, far) for what in WHAT}
        copies, connects = {near.name: 1e9, far.name: 1e9}, {near.name: [0.0], far.name: [0.0]}
        for _ in range(options.rounds):
            for leg in (near, far) * (CONNECTS // CONNECTS_IN_TURN):
                with spent[leg.name, "connect"].of(CONNECTS_IN_TURN):
                    connects[leg.name] += [measure.connect(leg) for _ in range(CONNECTS_IN_TURN)]
            for leg in (near, far):
                with spent[leg.name, "statement"].of(0) as counting:
                    found = measure.pgbench(leg, "prepared", CLIENTS, options.seconds, folder)
                    counting.number += found.tps * options.seconds
                rates[leg.name].append(found.tps)
                with spent[leg.name, "MB of COPY"].of(MEGABYTES):
                    copies[leg.name] = min(copies[leg.name], measure.copy_out(leg, "copied"))
        before = measure.memory_kb(service.pid)
        session = measure.idle_session_kb(far, service.pid, 40)

    def statement(name: str, *of: str) -> float:
        """Seconds of the processor for one, without those that its clients' connects took."""
        found, connect = spent[name, "statement"], spent[name, "connect"].each()
        taken = options.rounds * CLIENTS
        return sum((found.seconds[part] - taken * connect[part]) / found.number for part in of)

    summary = {
        "tunnel_prepared_32_vs_one_process": max(rates[far.name]) / max(rates[near.name]),
        "tunnel_cpu_vs_one_process": statement(far.name, "proxy", "service") / statement(near.name, "proxy"),
        "tunnel_copy_cpu_vs_one_process": sum(spent[far.name, "MB of COPY"].each().values())
        / spent[near.name, "MB of COPY"].each()["proxy"],
        "tunnel_connect_cpu_vs_one_process": sum(spent[far.name, "connect"].each().values())
        / spent[near.name, "connect"].each()["proxy"],
        "tunnel_copy_vs_one_process": copies[near.name] / copies[far.name],
        "tunnel_connect_vs_one_process": measure.percentile(connects[far.name][1:], 50)
        / measure.percentile(connects[near.name][1:], 50),
        "tunnel_service_idle_session_kb": session,
        "tunnel_service_mb": before / 1024,
    }
    for name in (near.name, far.name):
        p50 = measure.percentile(connects[name][1:], 50)
        speed = ROWS / copies[name] / 1000
        print(f"{name:12} {max(rates[name]):7.0f}/s  COPY {speed:6.0f} k rows/s  connect p50 {p50:.1f} ms")
        for part in parts:
            connect, megabyte = (spent[name, what].each()[part] * 1000 for what in ("connect", "MB of COPY"))
            cost = f"{statement(name, part) * 1e6:4.0f} us a statement, {megabyte:5.1f} ms an MB of COPY"
            print(f"  {part:8} {cost}, {connect:5.1f} ms a connect, of processor time")
    print(json.dumps({name: round(value, 3) for name, value in summary.items()}))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (measure.BenchError, process.ServerError) as failure:
        sys.exit(f"bench: {failure}")
