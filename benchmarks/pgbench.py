"""pgbench and COPY: direct, through pgbouncer and through Regate, side by side in one run.

Mutual TLS on every leg, OPA asked for every query, the audit durable before anything is forwarded. The last
line is one JSON object with what matters as ratios: absolute numbers are the machine's and the minute's.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks import measure, rig
from benchmarks.measure import Leg, Rate
from benchmarks.rig import DATABASE, FULL, QUICK, ROWS, USER, Bench
from gateway.session.bounds import USER_CONNECTIONS
from tests.e2e.cluster import configure, role
from tests.servers import process
from tests.servers.postgres import counted

IDLE_SESSIONS = USER_CONNECTIONS - 10  # all of one user, and connections still closing count, too
ROLES = (10, 1000)
WORKERS = (1, 2)


@dataclass(slots=True)
class Results:
    """All that was measured, by leg."""

    rates: dict[tuple[str, int], dict[str, Rate]] = field(default_factory=dict)
    copies_out: dict[str, float] = field(default_factory=dict)
    copies_in: dict[str, float] = field(default_factory=dict)
    connects: dict[str, list[float]] = field(default_factory=dict)
    connects_per_second: dict[str, float] = field(default_factory=dict)
    audit_lost: int = 0
    audit_served: int = 0
    idle_session_kb: float = 0.0
    by_roles: dict[int, Rate] = field(default_factory=dict)
    by_workers: dict[int, tuple[Rate, Rate]] = field(default_factory=dict)


def run(bench: Bench, say: Callable[[str], None]) -> Results:
    """Measure everything; legs take turns, so that a busy minute of the machine hits all of them."""
    plan, results = bench.plan, Results()
    # First: memory that load has left to the allocator would hide what a session takes.
    results.idle_session_kb = measure.idle_session_kb(bench.leg("regate"), bench.cluster.pid, IDLE_SESSIONS)
    for mode in plan.modes:
        for clients in plan.clients:
            rates = {
                leg.name: measure.pgbench(leg, mode, clients, plan.seconds, bench.folder)
                for leg in bench.legs
                if _can(leg, mode, clients)
            }
            results.rates[mode, clients] = rates
            say(_rate_line(mode, clients, rates))
    _copies_and_connects(bench, results)
    results.audit_served, results.audit_lost = audit_at_saturation(bench)
    if plan.is_full:
        results.by_roles = {count: _with_roles(bench, count) for count in ROLES}
        results.by_workers = {count: _with_workers(bench, count) for count in WORKERS}
    return results


def _copies_and_connects(bench: Bench, results: Results) -> None:
    plan = bench.plan
    three = [bench.leg(name) for name in ("direct", "pgbouncer", "regate")]
    for turn in range(plan.copies):
        for leg in three:
            _best(results.copies_out, leg, measure.copy_out(leg, "copied"))
            if turn and not plan.is_full:
                continue
            bench.cluster.pg.psql("truncate filled", DATABASE)
            _best(results.copies_in, leg, measure.copy_in(leg, "filled", bench.folder / "rows"))
    for _ in range(plan.connects):
        for leg in three:
            results.connects.setdefault(leg.name, []).append(measure.connect(leg))
    for leg in three:
        results.connects_per_second[leg.name] = measure.connects_per_second(
            leg, max(1, int(plan.seconds / 2))
        )


def _with_roles(bench: Bench, count: int) -> Rate:
    """The rate with *count* roles in the cluster, all of which could match: it must not depend on them."""
    allow = {"db_labels": {"env": ["dev", "staging"]}, "db_users": ["other"], "db_names": ["*"]}
    bench.cluster.create(*(role(f"crowd-{number}", allow=allow) for number in range(count)))
    time.sleep(3)
    return measure.pgbench(bench.leg("regate"), "prepared", 32, bench.plan.seconds, bench.folder)


def _with_workers(bench: Bench, count: int) -> tuple[Rate, Rate]:
    """Regate's rate with *count* session processes, and pgbouncer's in the same minute."""
    bench.cluster.stop()
    configure(bench.cluster, db_service={"enabled": True, "workers": count})
    bench.cluster.start()
    seconds, folder = bench.plan.seconds, bench.folder
    reference = measure.pgbench(bench.leg("pgbouncer"), "prepared", 32, seconds, folder)
    return measure.pgbench(bench.leg("regate"), "prepared", 32, seconds, folder), reference


def _can(leg: Leg, mode: str, clients: int) -> bool:
    if leg.name == "pgbouncer-transaction":
        return mode != "prepared"  # this version forgets prepared statements between transactions
    return leg.name != "regate-guarded" or (mode, clients) == ("prepared", 32)


def _best(times: dict[str, float], leg: Leg, seconds: float) -> None:
    times[leg.name] = min(seconds, times.get(leg.name, seconds))


def audit_at_saturation(bench: Bench) -> tuple[int, int]:
    """Statements the server logged under full load, and how many of them the audit does not have.

    Simple queries carry their number in the text, so a record cannot stand in for another.
    """
    pg = bench.cluster.pg
    pg.psql(f"alter role {USER} set log_statement = 'all'")
    before = len(pg.statements())
    measure.pgbench(bench.leg("regate"), "simple", 32, bench.plan.seconds, bench.folder)
    pg.psql(f"alter role {USER} reset log_statement")
    time.sleep(0.5)
    # The gateway's own look at the search path is in the server's log as well; only the client's is recorded.
    served = counted([logged for logged in pg.statements()[before:] if "pgbench_accounts" in logged.text])
    recorded = Counter(
        record["fields"]["statement"].strip().rstrip(";").rstrip()
        for record in bench.cluster.audit("--user=bench", "--kind=db.session.query")
    )
    return sum(served.values()), measure.missing(served, recorded)


def _rate_line(mode: str, clients: int, rates: dict[str, Rate]) -> str:
    cells = [f"{mode:9} {clients:3}"]
    for name in ("direct", "pgbouncer", "pgbouncer-transaction", "regate", "regate-guarded"):
        if name in rates:
            rate = rates[name]
            cells.append(f"{name} {rate.tps:7.0f}/s p50 {rate.p50:6.2f} p95 {rate.p95:6.2f} ms")
    return "   ".join(cells)


def summary(results: Results) -> dict[str, float]:
    """The bars of the project, as ratios."""
    rates = results.rates["prepared", 32]
    p50 = {name: measure.percentile(values, 50) for name, values in results.connects.items()}
    return {
        "prepared_32_vs_pgbouncer": round(rates["regate"].tps / rates["pgbouncer"].tps, 3),
        "copy_vs_pgbouncer": round(results.copies_out["pgbouncer"] / results.copies_out["regate"], 3),
        "connect_vs_direct": round(p50["regate"] / p50["direct"], 2),
        "audit_lost": results.audit_lost,
        "idle_session_kb": round(results.idle_session_kb, 1),
    }


def report(results: Results, say: Callable[[str], None]) -> None:
    """The table behind the rates."""
    for title, times in (("COPY out", results.copies_out), ("COPY in", results.copies_in)):
        say(
            f"{title:14}"
            + "   ".join(f"{name} {ROWS / took / 1000:6.0f} k rows/s" for name, took in times.items())
        )
    say(
        f"{'connect':14}"
        + "   ".join(
            f"{name} p50 {measure.percentile(values, 50):.1f} p95 {measure.percentile(values, 95):.1f} ms"
            f" {results.connects_per_second[name]:.0f}/s"
            for name, values in results.connects.items()
        )
    )
    for (mode, clients), rates in results.rates.items():
        direct = rates["direct"]
        added = [
            f"{name} p50 {rates[name].p50 - direct.p50:+.2f} p95 {rates[name].p95 - direct.p95:+.2f}"
            for name in ("pgbouncer", "regate")
        ]
        say(f"added ms       {mode:9} {clients:3}   " + "   ".join(added))
    for count, rate in results.by_roles.items():
        say(f"roles          {count:5} roles {rate.tps:7.0f}/s p50 {rate.p50:6.2f} p95 {rate.p95:6.2f} ms")
    for count, (rate, reference) in results.by_workers.items():
        ratio = rate.tps / reference.tps
        say(f"workers        {count:5} workers {rate.tps:7.0f}/s, {ratio:.3f} of pgbouncer's")
    say(
        f"audit          {results.audit_served} statements in the server's log,"
        f" {results.audit_lost} not in the audit"
    )


def main() -> int:
    """Run the plan that the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under 50 seconds: less of everything")
    plan = QUICK if parser.parse_args().quick else FULL

    def say(line: str) -> None:
        print(line, flush=True)

    start = time.monotonic()
    with rig.running(plan) as bench:
        say(f"rig ready after {time.monotonic() - start:.1f} s")
        results = run(bench, say)
    report(results, say)
    say(f"took {time.monotonic() - start:.1f} s")
    say(json.dumps(summary(results)))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (measure.BenchError, process.ServerError) as failure:
        sys.exit(f"bench: {failure}")
