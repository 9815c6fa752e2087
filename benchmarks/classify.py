"""How long it takes to say what a statement does: pgbench's statements and some larger ones, new and known.

python benchmarks/classify.py
"""

import gc
import json
import statistics
import time
from collections.abc import Callable

from gateway.classify import sql
from gateway.model.statement import NameContext, Statement

NAMES = NameContext("bench", "bench", ("$user", "public"))
ROUNDS = 2_000
ROWS = ", ".join(f"({number}, 'name {number}', {number}.5)" for number in range(100))

# {n} makes each text a new one.
STATEMENTS = {
    "SELECT 1": "SELECT {n}",
    "pgbench select": "SELECT abalance FROM pgbench_accounts WHERE aid = {n};",
    "pgbench update": "UPDATE pgbench_accounts SET abalance = abalance + -71 WHERE aid = {n};",
    "pgbench insert": (
        "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 2, {n}, 4, CURRENT_TIMESTAMP);"
    ),
    "literal and calls": "SELECT count(*), lower(note) FROM app.orders WHERE note = 'x{n}'",
    "join with casts": (
        "SELECT o.id::text, now() FROM app.orders o JOIN app.customers c ON c.id = o.customer_id "
        "WHERE o.id = {n} AND c.name ILIKE 'a%' ORDER BY 1 LIMIT 10"
    ),
    "INSERT of 100 rows": "INSERT INTO app.t (a, b, c) VALUES ({n}, '', 0), " + ROWS,
}


def micros(call: Callable[[int], object], rounds: int) -> tuple[float, float]:
    """Median and 95th percentile of one call, in microseconds."""
    taken = []
    for number in range(rounds):
        started = time.perf_counter()
        call(number)
        taken.append((time.perf_counter() - started) * 1e6)
    taken.sort()
    return statistics.median(taken), taken[int(rounds * 0.95)]


def main() -> None:
    """Print a table, and one JSON object as the last line."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    result = {}
    print(f"{'statement':<22}{'new p50':>10}{'p95':>10}{'known p50':>12}   (µs)")
    for name, text in STATEMENTS.items():
        rounds = ROUNDS if len(text) < 1_000 else 100
        statements = [Statement(text.replace("{n}", str(n)), "postgres", NAMES) for n in range(rounds)]
        new, tail = micros(lambda number, all_=statements: sql.classify(all_[number]), rounds)
        known, _ = micros(lambda _, one=statements[-1]: sql.classify(one), rounds)
        print(f"{name:<22}{new:>10.1f}{tail:>10.1f}{known:>12.2f}")
        result[name] = {
            "new_p50_us": round(new, 1),
            "new_p95_us": round(tail, 1),
            "known_p50_us": round(known, 2),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
