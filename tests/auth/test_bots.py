"""Bots: who gets a certificate for one, with what, how often, and what a copy of it is worth."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.auth import limits, passwords, users
from gateway.auth.bots import Asked
from gateway.auth.login import Login
from gateway.auth.store import Resource
from gateway.auth.tokens import Wish
from gateway.ca import identity
from gateway.errors import AccessError, AuditError, ConfigError, ConflictError, NotFoundError, PolicyError
from gateway.model.decision import Denied, Limits, Reason
from gateway.model.event import Kind
from gateway.model.identity import Identity, Lineage, Subject, Use
from tests.auth.rig import ADMIN, PASSWORD, Rig, allowed, denied
from tests.ca.material import authorities, parsed, request_for

FROM = "10.0.0.7"


async def made(rig: Rig, name: str = "ci", roles: tuple[str, ...] = ("access",)) -> str:
    _, secret = await rig.auth.add_bot(ADMIN, name, roles=roles, traits={"db_users": [name]})
    return secret


def shown(rig: Rig, login: Login) -> Identity:
    """Who the auth service takes somebody for who shows this certificate."""
    certificate = parsed(login.certificate_pem)
    return identity.from_chain(certificate, authorities().user, uses=(Use.USER,), now=rig.clock.moment)


async def joined(rig: Rig, secret: str, csr: str = "") -> Login:
    return await rig.auth.join_bot(secret, Asked(csr or request_for(), source=FROM))


async def renewed(rig: Rig, login: Login, csr: str = "") -> Login:
    return await rig.auth.renew_bot(shown(rig, login), Asked(csr or request_for(), source=FROM))


async def refusal(rig: Rig, login: Login, csr: str = "") -> AccessError:
    with pytest.raises(AccessError) as caught:
        await renewed(rig, login, csr)
    return caught.value


async def locks(rig: Rig) -> list[Resource]:
    return await rig.store.list("lock")


async def test_a_token_is_one_certificate_of_an_hour_for_one_bot(rig: Rig) -> None:
    secret = await made(rig)
    first = await joined(rig, secret)
    found = shown(rig, first)
    assert (found.user, found.roles, found.traits) == ("ci", ("access",), {"db_users": ("ci",)})
    assert found.expires == found.login_expires <= rig.clock.moment + timedelta(hours=1)
    assert found.login_address == FROM
    assert found.lineage is not None
    assert found.lineage.generation == 1
    with pytest.raises(AccessError) as again:
        await joined(rig, secret)
    assert again.value.code == "token_invalid"
    no, yes = sorted(rig.log.of(Kind.BOT_JOIN), key=lambda event: event["success"])
    assert (yes["user"], yes["generation"], yes["client_address"]) == ("ci", 1, FROM)
    assert (no["user"], no["reason"]) == ("", "token_invalid")
    assert secret not in repr(rig.log.events)


async def test_of_two_that_show_a_token_at_once_one_joins(rig: Rig) -> None:
    secret = await made(rig)
    answers = await asyncio.gather(joined(rig, secret), joined(rig, secret), return_exceptions=True)
    assert sum(isinstance(answer, Login) for answer in answers) == 1


async def test_each_certificate_asks_for_the_next_with_the_roles_of_now(rig: Rig) -> None:
    login = await joined(rig, await made(rig))
    await rig.auth.set_roles(ADMIN, "ci", ["auditor"])
    second = shown(rig, await renewed(rig, login))
    assert second.roles == ("auditor",)
    first = shown(rig, login).lineage
    assert first is not None
    assert second.lineage == Lineage(first.instance, 2)
    (bot,) = await rig.auth.list_bots(ADMIN)
    assert (bot.name, bot.renewed_at > 0) == ("ci", True)
    assert [event["success"] for event in rig.log.of(Kind.BOT_RENEW)] == [True]
    assert [event["generation"] for event in rig.log.of(Kind.CERT_CREATE)] == [1, 2]


async def test_a_copied_identity_that_is_renewed_locks_the_bot(rig: Rig) -> None:
    copy = await joined(rig, await made(rig))
    own = await renewed(rig, copy)
    error = await refusal(rig, copy)
    assert error.code == "bot_copied"
    (lock,) = await locks(rig)
    assert lock.document["spec"]["target"] == {"user": "ci"}
    assert rig.log.of(Kind.BOT_RENEW)[-1]["reason"] == "bot_copied"
    assert {"kind": "lock", "bot": "ci"}.items() <= rig.log.of(Kind.RESOURCE_CREATE)[-1].items()
    await rig.auth.delete(ADMIN, "lock", lock.name)
    for either in (own, copy):  # whoever lifts the lock has not made both of them good again
        assert (await refusal(rig, either)).code == "bot_unknown"
    assert await locks(rig) == []


async def test_a_copy_that_is_faster_is_found_out_by_the_machine_itself(rig: Rig) -> None:
    own = await joined(rig, await made(rig))
    stolen = await renewed(rig, own)
    assert (await refusal(rig, own)).code == "bot_copied"
    assert (await refusal(rig, stolen)).code == "bot_unknown"


async def test_a_lost_answer_is_told_again_to_whoever_has_its_key(rig: Rig) -> None:
    login, csr = await joined(rig, await made(rig)), request_for()
    lost = await renewed(rig, login, csr)
    again = await renewed(rig, login, csr)
    assert shown(rig, lost).lineage == shown(rig, again).lineage
    await renewed(rig, again)
    assert await locks(rig) == []
    assert (await refusal(rig, login, csr)).code == "bot_copied", "two certificates later it is a copy"


async def test_no_key_gets_two_certificates_in_a_row(rig: Rig) -> None:
    csr = request_for()
    login = await joined(rig, await made(rig), csr)
    with pytest.raises(ConfigError, match="make a new one"):
        await renewed(rig, login, csr)
    assert await locks(rig) == []


async def test_of_two_that_renew_one_certificate_at_once_one_is_found_out(rig: Rig) -> None:
    login = await joined(rig, await made(rig))
    answers = await asyncio.gather(renewed(rig, login), renewed(rig, login), return_exceptions=True)
    codes = [answer.code for answer in answers if isinstance(answer, AccessError)]
    assert (codes, len(await locks(rig))) == (["bot_copied"], 1)


async def test_a_machine_that_joins_again_takes_the_place_of_the_one_before(rig: Rig) -> None:
    before = await joined(rig, await made(rig))
    _, secret = await rig.auth.add_token(ADMIN, Wish(["bot"], bot="ci"))
    await joined(rig, secret)
    assert (await refusal(rig, before)).code == "bot_unknown"
    assert await locks(rig) == []


async def test_an_identity_newer_than_the_state_is_refused_and_no_reason_to_lock(rig: Rig) -> None:
    login = await joined(rig, await made(rig))
    for _ in range(2):
        login = await renewed(rig, login)
    async with rig.store.change() as change:
        line = await change.bots.find("ci")
        assert line is not None
        await change.bots.begin(replace(line, generation=1))
    assert (await refusal(rig, login)).code == "bot_unknown"
    assert await locks(rig) == []


async def test_a_removed_bot_is_renewed_no_more_not_even_as_its_namesake(rig: Rig) -> None:
    login, _ = await joined(rig, await made(rig)), None
    _, open_token = await rig.auth.add_token(ADMIN, Wish(["bot"], bot="ci"))
    await rig.auth.remove_bot(ADMIN, "ci")
    assert (await refusal(rig, login)).code == "bot_unknown"
    await made(rig, roles=("editor",))
    assert (await refusal(rig, login)).code == "bot_unknown"
    with pytest.raises(AccessError) as caught:
        await joined(rig, open_token)
    assert caught.value.code == "token_invalid"


async def test_whom_the_policy_refuses_joins_and_renews_nothing(rig: Rig) -> None:
    secret = await made(rig)
    login = await joined(rig, secret)
    _, second = await rig.auth.add_token(ADMIN, Wish(["bot"], bot="ci"))
    rig.policy.login_answer = denied("locked", "a lock is in force")
    assert (await refusal(rig, login)).code == "locked"
    with pytest.raises(AccessError, match="a lock is in force"):
        await joined(rig, second)
    rig.policy.login_answer = Denied("d", (Reason("policy_unavailable", "no answer"),), None)
    with pytest.raises(PolicyError):
        await renewed(rig, login)
    assert [event["reason"] for event in rig.log.of(Kind.BOT_RENEW)] == ["locked"]
    rig.policy.login_answer = allowed()
    await renewed(rig, login)
    await joined(rig, second)  # a refusal has used nothing up


@pytest.mark.parametrize(
    ("wanted", "bound", "given"),
    [(None, None, 3600), (7200, None, 3600), (600, None, 600), (None, 900, 900), (1200, 900, 900)],
)
async def test_a_certificate_is_good_for_an_hour_at_most(
    rig: Rig, wanted: int | None, bound: int | None, given: int
) -> None:
    rig.policy.login_answer = allowed(Limits(max_session_seconds=bound))
    asked = Asked(request_for(), None if wanted is None else timedelta(seconds=wanted))
    login = await rig.auth.join_bot(await made(rig), asked)
    assert login.expires == rig.clock.moment + timedelta(seconds=given)


@pytest.mark.parametrize("seconds", [0, -1])
async def test_a_life_of_nothing_is_refused_and_leaves_the_token_good(rig: Rig, seconds: int) -> None:
    secret = await made(rig)
    with pytest.raises(AccessError) as caught:
        await rig.auth.join_bot(secret, Asked(request_for(), timedelta(seconds=seconds)))
    assert caught.value.code == "ttl_invalid"
    await joined(rig, secret)


async def test_a_persons_login_is_not_renewed(rig: Rig) -> None:
    await rig.add("ada")
    login = await rig.login("ada")
    assert shown(rig, login).lineage is None
    assert (await refusal(rig, login)).code == "bot_unknown"


async def test_a_certificate_for_a_database_renews_nothing(rig: Rig) -> None:
    login = await joined(rig, await made(rig))
    found = shown(rig, login)
    narrowed = Identity(
        found.user,
        (),
        {},
        found.cluster,
        Use.DATABASE,
        found.expires,
        found.expires,
        "1",
        lineage=found.lineage,
    )
    with pytest.raises(Exception, match="a database certificate was shown"):
        await rig.auth.renew_bot(narrowed, Asked(request_for()))


async def test_renewals_are_limited_for_each_bot(rig: Rig) -> None:
    login = await joined(rig, await made(rig))
    csr = request_for()
    for _ in range(limits.BOT_RENEWALS.count):
        await renewed(rig, login, csr)
    assert (await refusal(rig, login, csr)).code == "rate_limited"


async def test_without_a_record_there_is_no_certificate_and_no_new_generation(rig: Rig) -> None:
    login = await joined(rig, await made(rig))
    rig.log.broken = True
    with pytest.raises(AuditError):
        await renewed(rig, login)
    rig.log.broken = False
    await renewed(rig, login)
    assert await locks(rig) == []


async def test_no_password_ever_opens_a_bot(rig: Rig) -> None:
    await made(rig)
    with pytest.raises(ConfigError, match="is a bot"):
        await rig.auth.reset_user(ADMIN, "ci")
    invitation = await rig.auth.add_user(ADMIN, "ada", roles=["access"])
    async with rig.store.change() as change:  # as if some other way had given it one
        await change.set_password("ci", await asyncio.to_thread(passwords.make_hash, PASSWORD))
        token = users.digest_of("x")
        await change.add_token(token, purpose=users.SIGNUP, owner="ci", expires_at=2**40)
    with pytest.raises(AccessError) as caught:
        await rig.login("ci")
    assert caught.value.code == "login_failed"
    with pytest.raises(AccessError) as caught:
        await rig.auth.accept_signup("x", PASSWORD)
    assert caught.value.code == "token_invalid"
    assert invitation.user == "ada"


USER = "kind: user\nversion: v2\nmetadata: {name: %s}\nspec: {roles: [access]%s}\n"


async def test_a_person_becomes_no_bot_and_a_bot_no_person(rig: Rig) -> None:
    await rig.add("ada")
    await made(rig)
    for text in (USER % ("ada", ", bot: true"), USER % ("ci", "")):
        with pytest.raises(ConflictError, match="cannot become"):
            await rig.auth.create(ADMIN, text, "f", force=True)
    stored = await rig.auth.get(ADMIN, "user", "ci")
    with pytest.raises(ConflictError, match="cannot become"):
        await rig.auth.update(ADMIN, USER % ("ci", ""), "f", expected=stored.revision)
    await rig.auth.create(ADMIN, USER % ("ci", ", bot: true"), "f", force=True)
    with pytest.raises(ConfigError, match="is no bot"):
        await rig.auth.remove_bot(ADMIN, "ada")


async def test_a_token_for_a_bot_is_for_one_that_there_is_and_good_once(rig: Rig) -> None:
    await rig.add("ada")
    await made(rig)
    for wish in (
        Wish(["bot"]),
        Wish(["bot", "db"], bot="ci"),
        Wish(["db"], bot="ci"),
        Wish(["bot"], bot="ci", uses=2),
        Wish(["bot"], bot="ci", uses=None),
        Wish(["bot"], bot="ci", databases=["my-*"]),
    ):
        with pytest.raises(ConfigError):
            await rig.auth.add_token(ADMIN, wish)
    for name in ("ada", "nobody"):
        with pytest.raises(NotFoundError, match="there is no bot"):
            await rig.auth.add_token(ADMIN, Wish(["bot"], bot=name))


async def test_a_token_for_a_bot_needs_the_right_to_change_that_user(rig: Rig) -> None:
    await made(rig)
    rig.policy.asked.clear()
    eve = Subject("user", "eve")
    await rig.auth.add_token(eve, Wish(["bot"], "again", bot="ci"))
    assert ("eve", "create", "token", "again") in rig.policy.asked
    assert ("eve", "update", "user", "ci") in rig.policy.asked
    rig.policy.asked.clear()
    await rig.auth.add_bot(eve, "cd", roles=["access"])
    assert rig.policy.asked == [("eve", "create", "user", "cd"), ("eve", "create", "token", "")]
