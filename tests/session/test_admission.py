"""What stands between a connection and its session: its pace, its number, and only then the policy's yes."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.clock import SystemClock
from gateway.model.decision import Allowed, Denied, Limits, Reason, Revisions
from gateway.model.identity import Identity
from gateway.model.resource import Database
from gateway.model.statement import NameContext, Statement
from gateway.protocols import REGISTRY
from gateway.sansio.protocol import Startup
from gateway.session.admission import Admission
from gateway.session.bounds import USER_CONNECTIONS
from gateway.session.environment import Environment
from gateway.session.grant import Grant
from gateway.session.live import Count
from tests.ca.material import NOW, login_identity

REVISIONS = Revisions("p", 1)
YES = Allowed("d1", REVISIONS)
SHOP = Database("shop", "postgres", "localhost:5432")
ANN: Identity = login_identity(expires=NOW)


class World:
    """A policy that answers *answer*, and tells whether it was asked."""

    def __init__(self, answer: Allowed | Denied = YES) -> None:
        self.answer = answer
        self.asked = 0
        self.has_lapsed = False

    async def connect(self, _question: Any) -> Allowed | Denied:
        self.asked += 1
        return self.answer


def statement(*_: Any) -> Statement:
    return Statement("", "postgres", NameContext("", ""))


async def decided(world: World, count: Count, database: Database = SHOP) -> Allowed | Denied:
    env = SimpleNamespace(clock=SystemClock(), policy=world, lease=world)
    grant = SimpleNamespace(
        identity=ANN, database=database, route=None, question=lambda: None, renew=lambda _decision: None
    )
    protocol = replace(REGISTRY["postgres"], startup_statement=statement, classify=lambda _statement: ())
    admission = Admission(protocol, cast("Environment", env))
    return await admission.decide(Startup(), cast("Grant", grant), count)


async def test_who_is_within_all_bounds_gets_the_policys_answer() -> None:
    assert await decided(World(), Count(USER_CONNECTIONS, 10_000)) is YES
    no = Denied("d2", (Reason("role_missing"),), REVISIONS)
    assert await decided(World(no), Count(1, 1)) is no


async def test_who_comes_too_fast_is_refused_before_the_policy_is_asked() -> None:
    world = World()
    decision = await decided(world, Count(1, 1, in_pace=False))
    assert isinstance(decision, Denied)
    assert (decision.code, world.asked) == ("rate_limited", 0)
    assert "db_service.connects_per_second" in decision.sentence
    assert decision.sentence.endswith("try again in a moment")


@pytest.mark.parametrize(
    ("limits", "count", "code"),
    [
        (Limits(), Count(USER_CONNECTIONS + 1, 1), "too_many_connections"),
        (Limits(max_connections=3), Count(4, 4), "too_many_connections"),
        (Limits(max_connections=3), Count(3, 3), ""),
        (Limits(max_connections=1000), Count(USER_CONNECTIONS + 1, 1), "too_many_connections"),
        (Limits(), Count(1, 8), "database_full"),
        (Limits(), Count(1, 7), ""),
    ],
)
async def test_there_are_no_more_connections_than_the_strictest_bound(
    limits: Limits, count: Count, code: str
) -> None:
    decision = await decided(World(replace(YES, limits=limits)), count, replace(SHOP, max_connections=7))
    assert (decision.code if isinstance(decision, Denied) else "") == code


async def test_a_service_that_hears_nothing_from_its_control_plane_admits_nobody() -> None:
    world = World()
    world.has_lapsed = True
    decision = await decided(world, Count(1, 1))
    assert isinstance(decision, Denied)
    assert (decision.code, world.asked) == ("control_plane_unreachable", 0)
