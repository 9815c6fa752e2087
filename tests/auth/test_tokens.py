"""Join tokens: what they let in, how often, and that their secret is nowhere but in the answer."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from gateway.auth import tokens, users
from gateway.auth.tokens import Ticket, Wish
from gateway.errors import AccessError, AuditError, ConfigError, NotFoundError
from gateway.model.event import Kind
from gateway.model.joining import Grant, Joining
from gateway.model.resource import Database
from tests.auth.rig import ADMIN, Rig, denied

AGENT = Joining("db", [Database("my-postgres", "postgres", "localhost:5432", labels={"env": "dev"})])


async def made(rig: Rig, **wish: Any) -> str:
    _, secret = await rig.auth.add_token(ADMIN, Wish(**({"types": ["db"]} | wish)))
    return secret


async def admitted(rig: Rig, secret: str, source: str = "10.0.0.1") -> Ticket:
    return await tokens.admit(rig.auth._desk, secret, AGENT, source=source)


async def redeemed(rig: Rig, secret: str, source: str = "10.0.0.1") -> Ticket:
    ticket = await admitted(rig, secret, source)
    async with rig.store.change() as change:
        await tokens.redeem(rig.auth._desk, change, ticket)
    return ticket


async def refusal(rig: Rig, secret: str, source: str = "10.0.0.1") -> AccessError:
    with pytest.raises(AccessError) as caught:
        await redeemed(rig, secret, source)
    return caught.value


async def test_a_token_has_256_bits_and_is_kept_as_a_digest(rig: Rig) -> None:
    secret = await made(rig)
    assert len(bytes.fromhex(secret)) == 32
    (shown,) = await rig.auth.list_tokens(ADMIN)
    stored = await rig.store.get("token", shown.name)
    assert secret not in repr((shown, stored, rig.log.events, await rig.store.snapshot()))
    assert users.digest_of(secret) not in repr(stored)


async def test_it_lets_one_service_in_and_is_gone(rig: Rig) -> None:
    secret = await made(rig)
    ticket = await redeemed(rig, secret)
    assert ticket.databases == ("my-postgres",)
    assert secret not in repr(ticket)
    assert await rig.auth.list_tokens(ADMIN) == []
    assert (await refusal(rig, secret)).code == "token_invalid"
    (refused,) = rig.log.of(Kind.AGENT_JOIN)
    assert (refused["success"], refused["reason"], refused["token"]) == (False, "token_invalid", "")


async def test_the_policy_is_asked_with_what_the_token_says(rig: Rig) -> None:
    secret = await made(
        rig, types=["proxy", "db"], labels={"env": ["dev"]}, databases=["my-*"], name="agents", uses=2
    )
    await redeemed(rig, secret)
    assert rig.policy.joins == [(Grant(("db", "proxy"), {"env": ("dev",)}, ("my-*",)), AGENT)]


async def test_whoever_the_policy_refuses_uses_nothing_up(rig: Rig) -> None:
    secret = await made(rig)
    rig.policy.join_answer, yes = denied("database_not_granted", "not that one"), rig.policy.join_answer
    error = await refusal(rig, secret)
    assert (error.code, str(error)) == ("database_not_granted", "not that one")
    assert "regate tokens add --type=db" in error.hint
    (event,) = rig.log.of(Kind.AGENT_JOIN)
    assert (event["reason"], event["decision_id"]) == ("database_not_granted", "decision-2")
    rig.policy.join_answer = yes
    await redeemed(rig, secret)


async def test_an_expired_token_says_when_it_ended(rig: Rig) -> None:
    secret = await made(rig, ttl=timedelta(minutes=5))
    rig.clock.move(timedelta(seconds=300))
    assert await rig.auth.list_tokens(ADMIN) == []
    error = await refusal(rig, secret)
    assert error.code == "token_expired"
    assert str(error) == "the join token expired at 2026-03-01 12:05:00 UTC by the cluster's clock"
    assert "regate tokens add" in error.hint


async def test_a_token_that_ends_between_the_steps_lets_nobody_in(rig: Rig) -> None:
    ticket = await admitted(rig, await made(rig, ttl=timedelta(minutes=5)))
    rig.clock.move(timedelta(seconds=301))
    with pytest.raises(AccessError, match="was used already"):
        async with rig.store.change() as change:
            await tokens.redeem(rig.auth._desk, change, ticket)


async def test_a_token_may_be_good_for_several(rig: Rig) -> None:
    secret = await made(rig, uses=3)
    for left in (2, 1):
        await redeemed(rig, secret)
        (shown,) = await rig.auth.list_tokens(ADMIN)
        assert shown.uses_left == left
    await redeemed(rig, secret)
    assert (await refusal(rig, secret)).code == "token_invalid"


async def test_a_token_may_be_good_for_any_number_until_it_ends(rig: Rig) -> None:
    secret = await made(rig, uses=None)
    for _ in range(5):
        await redeemed(rig, secret)
    (shown,) = await rig.auth.list_tokens(ADMIN)
    assert shown.uses_left is None
    rig.clock.move(timedelta(seconds=1800))
    assert (await refusal(rig, secret)).code == "token_expired"


@pytest.mark.parametrize("uses", [1, 7])
async def test_of_fifty_at_once_exactly_as_many_join_as_may(rig: Rig, uses: int) -> None:
    secret = await made(rig, uses=uses)
    refused: list[str] = []

    async def join(number: int) -> bool:
        try:
            await redeemed(rig, secret, source=f"10.0.0.{number}")
        except AccessError as error:
            refused.append(error.code)
            return False
        return True

    joined = await asyncio.gather(*(join(number) for number in range(50)))
    assert set(refused) == {"token_invalid"}
    assert sum(joined) == uses


async def test_a_removed_token_is_worth_nothing(rig: Rig) -> None:
    secret = await made(rig, name="agents")
    await rig.auth.delete(ADMIN, "token", "agents")
    assert (await refusal(rig, secret)).code == "token_invalid"
    with pytest.raises(NotFoundError):
        await rig.auth.delete(ADMIN, "token", "agents")


async def test_a_token_whose_making_was_not_recorded_was_not_made(rig: Rig) -> None:
    rig.log.broken = True
    with pytest.raises(AuditError):
        await made(rig)
    assert list(await rig.store.open_tokens(tokens.JOIN)) == []


async def test_guessing_is_slowed_down_by_source(rig: Rig) -> None:
    for _ in range(60):
        assert (await refusal(rig, "0" * 64)).code == "token_invalid"
    assert (await refusal(rig, "0" * 64)).code == "rate_limited"
    assert (await refusal(rig, "0" * 64, source="10.0.0.2")).code == "token_invalid"


async def test_a_sign_up_token_lets_no_service_in(rig: Rig) -> None:
    invitation = await rig.auth.add_user(ADMIN, "ada", roles=["access"])
    assert (await refusal(rig, invitation.token)).code == "token_invalid"


async def test_a_join_token_opens_no_account(rig: Rig) -> None:
    secret = await made(rig)
    with pytest.raises(AccessError, match="the token is not known"):
        await rig.auth.accept_signup(secret, "correct horse battery staple")


async def test_the_policy_says_who_makes_tokens(rig: Rig) -> None:
    rig.policy.admin_answer = denied("rule_missing")
    for attempt in (rig.auth.add_token(ADMIN, Wish(["db"])), rig.auth.list_tokens(ADMIN)):
        with pytest.raises(AccessError):
            await attempt
    assert ("admin", "create", "token", "x") not in rig.policy.asked
    assert rig.policy.asked[-1] == ("admin", "list", "token", "")


async def test_an_expired_token_is_forgotten_after_a_day(rig: Rig) -> None:
    await made(rig, name="old")
    rig.clock.move(timedelta(seconds=86_400 + 1_801))
    await made(rig, name="new")
    assert [found.name for found in await rig.store.list("token")] == ["new"]


async def test_a_token_is_not_edited(rig: Rig) -> None:
    await made(rig, name="agents")
    stored = await rig.store.get("token", "agents")
    text = "kind: token\nversion: v2\nmetadata: {name: agents}\nspec: {roles: [Proxy]}\n"
    with pytest.raises(ConfigError, match="not changed once it is made"):
        await rig.auth.update(ADMIN, text, "token.yaml", expected=stored.revision)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"types": []}, "type: expected some of db, proxy, bot"),
    ({"types": ["db", "node"]}, "'node'"),
    ({"types": ["Db"]}, "'Db'"),
    ({"types": ["db", "db"]}, "spec.roles: expected a list"),
    ({"ttl": timedelta(hours=1)}, "within the next 30 minutes"),
    ({"uses": 0}, "at least 1|how many services"),
    ({"name": "../x"}, "a name of letters"),
    ({"labels": {"env": []}}, "env"),
    ({"databases": [""]}, "databases"),
]


@pytest.mark.parametrize(("wish", "said"), WRONG)
async def test_a_wish_that_makes_no_sense_is_refused(rig: Rig, wish: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        await made(rig, **wish)
    assert await rig.store.list("token") == []


async def test_a_grant_survives_being_kept() -> None:
    for grant in (Grant(("db",)), Grant(("db", "proxy"), {"env": ("a", "b")}, ("x*",)), Grant((), {}, ())):
        assert tokens.parse_grant(tokens.grant_json(grant)) == grant
