"""As much of an environment as a session needs that is tested by itself."""

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from gateway.audit.wording import PLAIN, Wording
from gateway.session.environment import Deadlines, Environment


@dataclass
class _Surroundings:
    clock: Any
    audit: Any
    policy: Any
    classifier: Any
    deadlines: Any
    salt: str = ""
    wording: Wording = PLAIN


def environment(clock: Any, world: Any, classifier: Any) -> Environment:
    """*world* is both the log and the policy."""
    return cast("Environment", _Surroundings(clock, world, world, classifier, Deadlines()))


async def settled() -> None:
    """As many turns of the loop as whatever has begun can take: what a stalled machine does not shorten."""
    for _ in range(100):
        await asyncio.sleep(0)
