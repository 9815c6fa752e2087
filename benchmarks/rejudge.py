"""How long it takes until every open session was judged again, when a role changed.

The sessions are the gateway's own (what it was granted, and the registry that asks again) without a client
and a database behind each, so that thousands fit; the policy engine and the policies are the real ones. What
is counted begins with the push of the changed role and ends when the last session heard its verdict.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.measure import cpu_seconds
from gateway.audit.wording import PLAIN
from gateway.clock import SystemClock
from gateway.model.decision import Allowed, Denied
from gateway.model.identity import Identity, Route, Use
from gateway.model.resource import Database
from gateway.policy import install, publish
from gateway.policy.data import build_data
from gateway.policy.document import ConnectQuestion
from gateway.policy.sidecar.supervisor import Sidecar
from gateway.protocols import REGISTRY
from gateway.schema import data_dir
from gateway.session.environment import Environment
from gateway.session.grant import Grant
from gateway.session.live import Live
from tests.e2e.cluster import children

SESSIONS = 5000
CROWDS = (1, 100, 500, 5000)
"""So many people have the sessions between them."""


class Open:
    """One open session as the registry sees it."""

    def __init__(self, number: int, grant: Grant) -> None:
        self.session_id = f"session-{number}"
        self.user = grant.identity.user
        self.cancel_key = number.to_bytes(8, "big")
        self.grant = grant
        self.ended: Denied | None = None

    def question(self) -> ConnectQuestion:
        """May it be open."""
        return self.grant.question()

    def granted(self, decision: Allowed) -> None:
        """It may."""
        self.grant.renew(decision)

    def end(self, denial: Denied) -> None:
        """It may not."""
        self.ended = denial

    async def cancel(self) -> None:
        """Nothing runs here."""

    def sweep(self) -> None:
        """No clock is looked at here."""


def _role(name: str, env: str) -> dict[str, Any]:
    allow = {"db_labels": {"env": env}, "db_users": ["app"], "db_names": ["*"]}
    return {"kind": "role", "version": "v7", "metadata": {"name": name}, "spec": {"allow": allow}}


def _user(name: str) -> dict[str, Any]:
    return {"kind": "user", "metadata": {"name": name}, "spec": {"roles": ["developer"], "traits": {}}}


def _sessions(people: int, env: Environment) -> list[Open]:
    end = datetime.now(UTC) + timedelta(hours=8)
    database = Database("shop", "postgres", "localhost:5432", labels={"env": "dev"})
    made = []
    for number in range(SESSIONS):
        name = f"user-{number % people}"
        route = Route("shop", "postgres", "app", "mydb")
        identity = Identity(name, ("developer",), {}, "bench", Use.DATABASE, end, end, "1", route)
        at = f"10.0.{number % people % 250}.7:{20_000 + number}"
        made.append(
            Open(
                number,
                Grant(f"session-{number}", REGISTRY["postgres"], identity, route, database, at, env),
            )
        )
    return made


async def _measure(sidecar: Sidecar, people: int, revision: int) -> tuple[tuple[float, float, float], ...]:
    """Until all were judged, allowed and then refused: seconds, and those of processor of OPA and of us."""
    shop = Database("shop", "postgres", "localhost:5432", labels={"env": "dev"})
    env = SimpleNamespace(
        clock=SystemClock(), databases={"shop": shop}.get, policy=sidecar.client, wording=PLAIN
    )
    sessions, live = _sessions(people, cast("Environment", env)), Live()
    for session in sessions:
        live.add(session)
    users = [_user(f"user-{number}") for number in range(people)]
    took, engine = [], children(os.getpid())
    for step, label in enumerate(("dev", "prod")):
        data = build_data([_role("developer", label)], users, [], [], revision + step)
        began, busy, own = time.perf_counter(), sum(map(cpu_seconds, engine)), time.process_time()
        await sidecar.push(data, revision + step)
        unanswered = await live.rejudge(sidecar.client)
        spent = sum(map(cpu_seconds, engine)) - busy, time.process_time() - own
        took.append((time.perf_counter() - began, *spent))
        if unanswered or any((session.ended is None) != (label == "dev") for session in sessions):
            raise SystemExit("bench: not every session was judged")
    return tuple(took)


async def _run(crowds: Sequence[int]) -> dict[str, float]:
    opa, key = install.ensure_opa(), ec.generate_private_key(ec.SECP256R1())
    with tempfile.TemporaryDirectory(prefix="regate-bench-") as folder:
        bundle = publish.publish(opa, data_dir("policies"), None, Path(folder), key)
        async with Sidecar(opa=opa, bundle=bundle, key=key, clock=SystemClock()) as sidecar:
            found = {}
            for index, people in enumerate(crowds):
                measured = await _measure(sidecar, people, 10 * (index + 1))
                for name, (seconds, engine, own) in zip(("stay", "go"), measured, strict=True):
                    spent = f"of processor {engine:.2f} s the policy engine's, {own:.2f} s ours"
                    print(f"{SESSIONS} sessions of {people:4} people to {name}: {seconds:.2f} s, {spent}")
                found[f"rejudge_{SESSIONS}_of_{people}_s"] = round(max(took for took, *_ in measured), 3)
                found[f"rejudge_{SESSIONS}_of_{people}_cpu_s"] = round(max(sum(x) for _, *x in measured), 3)
            return found


def main() -> int:
    """Measure each crowd; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, nargs="*", default=CROWDS)
    print(json.dumps(asyncio.run(_run(parser.parse_args().people))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
