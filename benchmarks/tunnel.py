"""What the tunnel costs: the same database through one process, and through proxy and database service.

Both ways pass the same proxy and take turns, so that the ratios are those of one machine and one minute.
"""

import argparse
import json
import subprocess
import sys
from contextlib import ExitStack
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
CLIENTS = 32
FAR = "far"


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
        parts = {near.name: [cluster.pid, *children(cluster.pid)]}
        parts[far.name] = [cluster.pid, service.pid, *children(service.pid)]
        spent: dict[str, list[float]] = {near.name: [], far.name: []}
        copies, connects = {near.name: 1e9, far.name: 1e9}, {near.name: [0.0], far.name: [0.0]}
        for _ in range(options.rounds):
            for leg in (near, far):
                used = sum(map(measure.cpu_seconds, parts[leg.name]))
                found = measure.pgbench(leg, "prepared", CLIENTS, options.seconds, folder)
                used = sum(map(measure.cpu_seconds, parts[leg.name])) - used
                spent[leg.name].append(used / (found.tps * options.seconds) * 1e6)
                rates[leg.name].append(found.tps)
                copies[leg.name] = min(copies[leg.name], measure.copy_out(leg, "copied"))
                connects[leg.name] += [measure.connect(leg) for _ in range(20)]
        before = measure.memory_kb(service.pid)
        session = measure.idle_session_kb(far, service.pid, 40)
    summary = {
        "tunnel_prepared_32_vs_one_process": max(rates[far.name]) / max(rates[near.name]),
        "tunnel_cpu_vs_one_process": min(spent[far.name]) / min(spent[near.name]),
        "tunnel_copy_vs_one_process": copies[near.name] / copies[far.name],
        "tunnel_connect_vs_one_process": measure.percentile(connects[far.name][1:], 50)
        / measure.percentile(connects[near.name][1:], 50),
        "tunnel_service_idle_session_kb": session,
        "tunnel_service_mb": before / 1024,
    }
    for name in (near.name, far.name):
        p50 = measure.percentile(connects[name][1:], 50)
        speed, cost = ROWS / copies[name] / 1000, min(spent[name])
        rate = f"{max(rates[name]):7.0f}/s, {cost:4.0f} us of CPU a statement"
        print(f"{name:12} {rate}  COPY {speed:6.0f} k rows/s  connect p50 {p50:.1f} ms")
    print(json.dumps({name: round(value, 3) for name, value in summary.items()}))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (measure.BenchError, process.ServerError) as failure:
        sys.exit(f"bench: {failure}")
