"""How many recorded decisions `regate policy replay` judges again in a second, from the log to the summary.

A real cluster records them first: in one run statements such as an application sends again and again, in the
other statements of which no two do the same, so that nothing is asked once for several.

python -m benchmarks.replay [--quick]
"""

import argparse
import itertools
import json
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from benchmarks.measure import BenchError
from tests.e2e import cluster as clusters
from tests.e2e.cluster import Cluster, role
from tests.servers import process

BAR = 3_000  # decisions a second, on two cores
_COLUMNS = tuple(f"c{number}" for number in range(16))
_TABLES = f"""
create schema app;
create table app.wide ({", ".join(f"{name} int" for name in _COLUMNS)});
grant usage on schema app to bench;
grant select on app.wide to bench;
"""
_REPEATED = 20
_TRIES = 5
_ROLE = role(
    "bench",
    allow={
        "db_labels": {"env": "dev"},
        "db_users": ["bench"],
        "db_names": ["shop"],
        "db_permissions": [
            {"match": {"object_kind": "table", "schema": "app", "name": "wide"}, "permissions": ["SELECT"]}
        ],
    },
)


@dataclass(frozen=True, slots=True)
class Replayed:
    """One replay: how many decisions it judged, how many a second by the clock, and what one cost.

    ``microseconds`` are of processor time: the command's with its OPA, a busy machine changes them less.
    """

    judged: int
    per_second: int
    microseconds: int


def distinct() -> Iterator[str]:
    """Statements that each read other columns."""
    for width in range(2, len(_COLUMNS)):
        for columns in itertools.combinations(_COLUMNS, width):
            yield f"select {', '.join(columns)} from app.wide"


def repeated() -> Iterator[str]:
    """Some twenty statements, over and over."""
    yield from itertools.cycle(itertools.islice(distinct(), _REPEATED))


def record(cluster: Cluster, statements: Iterable[str]) -> None:
    """Let them run, each with a decision of its own."""
    access = cluster.users["bench"].access("bench", "shop")
    with psycopg.connect(access.conninfo, autocommit=True, prepare_threshold=None) as connection:
        for statement in statements:
            for left in reversed(range(_TRIES)):
                try:
                    connection.execute(statement.encode())
                    break
                except psycopg.errors.InsufficientPrivilege:
                    if not left:  # on a machine that is busy elsewhere, OPA may be too late now and then
                        raise


def replay(cluster: Cluster, since: str, rounds: int, least: int) -> Replayed:
    """The fastest of *rounds*, by the policies in force; every verdict must come out again."""
    best = Replayed(0, 0, 0)
    for _ in range(rounds):
        before = _spent()
        done = cluster.admin("policy", "replay", "live", f"--since={since}", "--format=json", check=False)
        if done.code != 0:
            raise BenchError(f"replay: {done.said[-500:]}")
        summary = json.loads(done.stdout)["summary"]
        if summary["judged"] < least or summary["changed"]:
            raise BenchError(f"replay judged {summary}")
        cost = (_spent() - before) / summary["judged"] * 1e6
        one = Replayed(summary["judged"], summary["per_second"], round(cost))
        best = max(best, one, key=lambda found: found.per_second)
    return best


def _spent() -> float:
    """Processor seconds of commands that are over, with what they started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Print both figures, and one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2,000 decisions of each kind")
    options = parser.parse_args()
    number, rounds = (2_000, 2) if options.quick else (10_000, 3)
    found: dict[str, int] = {}
    with clusters.running() as cluster:
        cluster.pg.create("shop", "bench")
        cluster.pg.psql(_TABLES, "shop")
        cluster.create(_ROLE)
        cluster.add_user("bench", "bench")
        for name, statements in (("repeated", repeated()), ("distinct", distinct())):
            since = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
            record(cluster, itertools.islice(statements, number))
            time.sleep(1.0)  # the inputs are written behind the decisions
            one = replay(cluster, since, rounds, number)
            print(
                f"{name:<10}{one.judged:>8} decisions judged again, {one.per_second:>6} a second, "
                f"{one.microseconds} µs of processor time each"
            )
            found[f"replay_{name}_per_second"] = one.per_second
            found[f"replay_{name}_microseconds"] = one.microseconds
    missed = [name for name, rate in found.items() if name.endswith("_per_second") and rate < BAR]
    print(f"\nbar: at least {BAR} a second; missed: {', '.join(missed) or 'none'}")
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BenchError, process.ServerError) as failure:
        sys.exit(f"bench-policy: {failure}")
