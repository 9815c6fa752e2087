"""Invitations, passwords and what is left of a user who goes."""

import asyncio
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.auth.users import Accepted
from gateway.errors import AccessError, AuditError, ConfigError, ConflictError, NotFoundError
from gateway.model.event import Kind
from tests.auth.rig import ADMIN, PASSWORD, Rig, running


async def test_an_invitation_works_once(rig: Rig) -> None:
    invitation = await rig.auth.add_user(ADMIN, "ada", roles=["access"])
    assert (invitation.user, invitation.expires) == ("ada", rig.clock.moment + timedelta(hours=1))
    assert await rig.auth.accept_signup(invitation.token, PASSWORD) == Accepted("ada")
    with pytest.raises(AccessError, match="not known, was used, or has expired") as refused:
        await rig.auth.accept_signup(invitation.token, "another long password")
    assert refused.value.code == "token_invalid"
    await rig.login()


async def test_of_fifty_acceptances_at_once_one_succeeds(rig: Rig) -> None:
    invitation = await rig.auth.add_user(ADMIN, "ada", roles=["access"])
    results = await asyncio.gather(
        *(rig.auth.accept_signup(invitation.token, f"{PASSWORD} {number}") for number in range(50)),
        return_exceptions=True,
    )
    winners = [number for number, result in enumerate(results) if result == Accepted("ada")]
    assert len(winners) == 1
    assert sum(isinstance(result, AccessError) for result in results) == len(results) - 1
    assert len(rig.log.of(Kind.USER_ACCEPT)) == 1
    await rig.login(password=f"{PASSWORD} {winners[0]}")


async def test_an_invitation_ends(rig: Rig) -> None:
    invitation = await rig.auth.add_user(ADMIN, "ada", roles=["access"], ttl=timedelta(minutes=5))
    rig.clock.move(timedelta(minutes=5))
    with pytest.raises(AccessError, match="has expired"):
        await rig.auth.accept_signup(invitation.token, PASSWORD)


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(hours=49), timedelta(seconds=-1)])
async def test_an_invitation_lasts_two_days_at_most(rig: Rig, ttl: timedelta) -> None:
    with pytest.raises(ConfigError, match="at most 48 hours"):
        await rig.auth.add_user(ADMIN, "ada", roles=["access"], ttl=ttl)
    with pytest.raises(NotFoundError):
        await rig.store.get("user", "ada")


async def test_a_password_that_is_refused_does_not_use_up_the_token(rig: Rig) -> None:
    invitation = await rig.auth.add_user(ADMIN, "ada", roles=["access"])
    with pytest.raises(ConfigError, match="at least 12"):
        await rig.auth.accept_signup(invitation.token, "short")
    await rig.auth.accept_signup(invitation.token, PASSWORD)


async def test_no_record_no_password(rig: Rig) -> None:
    invitation = await rig.auth.add_user(ADMIN, "ada", roles=["access"])
    rig.log.broken = True
    with pytest.raises(AuditError):
        await rig.auth.accept_signup(invitation.token, PASSWORD)
    rig.log.broken = False
    with pytest.raises(AccessError):
        await rig.login()
    await rig.auth.accept_signup(invitation.token, PASSWORD)


@pytest.mark.parametrize("token", ["", "0" * 64, "\ud800", "x" * 100_000])
async def test_a_token_that_is_none_is_refused_in_the_same_words(rig: Rig, token: str) -> None:
    with pytest.raises(AccessError, match="not known, was used, or has expired"):
        await rig.auth.accept_signup(token, PASSWORD)


async def test_tokens_are_not_to_be_guessed_from_one_place(rig: Rig) -> None:
    for _ in range(30):
        with pytest.raises(AccessError, match="not known"):
            await rig.auth.accept_signup("guess", PASSWORD, source="192.0.2.1")
    invitation = await rig.auth.add_user(ADMIN, "ada", roles=["access"])
    with pytest.raises(AccessError, match="too many") as refused:
        await rig.auth.accept_signup(invitation.token, PASSWORD, source="192.0.2.1")
    assert refused.value.code == "rate_limited"
    await rig.auth.accept_signup(invitation.token, PASSWORD, source="192.0.2.2")


async def test_a_user_needs_roles_that_exist(rig: Rig) -> None:
    with pytest.raises(NotFoundError, match="role 'acess' does not exist"):
        await rig.auth.add_user(ADMIN, "ada", roles=["access", "acess"])
    with pytest.raises(ConfigError, match="given twice"):
        await rig.auth.add_user(ADMIN, "ada", roles=["access", "access"])
    assert await rig.auth.list_users(ADMIN) == []


@pytest.mark.parametrize("name", ["", "a b", "-a", "a/b", "a\n", "x" * 65, "ä", "../x", "a\0"])
async def test_a_name_that_cannot_stand_in_a_certificate_is_refused(rig: Rig, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a user name"):
        await rig.auth.add_user(ADMIN, name, roles=["access"])


async def test_two_users_of_one_name_are_a_conflict_and_the_first_stays(rig: Rig) -> None:
    await rig.add("ada")
    with pytest.raises(ConflictError):
        await rig.auth.add_user(ADMIN, "ada", roles=["editor"])
    assert (await rig.login()).roles == ("access",)


async def test_a_list_shows_who_has_chosen_a_password_and_no_secret(rig: Rig) -> None:
    await rig.add("ada", want_totp=True)
    invitation = await rig.auth.add_user(ADMIN, "bob", roles=["access"], traits={"db_users": ["bob"]})
    found = await rig.auth.list_users(ADMIN)
    assert [(user.name, user.status, user.totp) for user in found] == [
        ("ada", "active", True),
        ("bob", "invited", False),
    ]
    assert found[1].traits == {"db_users": ("bob",)}
    assert "argon2" not in repr(found)
    assert invitation.token not in repr(found)
    assert invitation.token not in repr(invitation)


async def test_new_roles_count_at_the_next_login_and_are_recorded(rig: Rig) -> None:
    await rig.add("ada")
    revision = rig.store.data_revision
    view = await rig.auth.set_roles(ADMIN, "ada", ["access", "auditor"])
    assert (view.roles, view.status) == (("access", "auditor"), "active")
    assert rig.store.data_revision > revision
    assert (await rig.login()).roles == ("access", "auditor")
    (event,) = rig.log.of(Kind.USER_UPDATE)
    assert (event["name"], event["old_roles"], event["new_roles"]) == (
        "ada",
        ["access"],
        ["access", "auditor"],
    )


async def test_traits_are_replaced_one_by_one(rig: Rig) -> None:
    await rig.auth.add_user(ADMIN, "ada", roles=[], traits={"db_users": ["a"], "db_names": ["x"]})
    view = await rig.auth.set_traits(ADMIN, "ada", {"db_users": ["b", "c"], "db_names": []})
    assert view.traits == {"db_users": ("b", "c")}


async def test_changes_of_somebody_who_is_not_there_are_errors(rig: Rig) -> None:
    for attempt in (
        rig.auth.set_roles(ADMIN, "nobody", []),
        rig.auth.reset_user(ADMIN, "nobody"),
        rig.auth.remove_user(ADMIN, "nobody"),
    ):
        with pytest.raises(NotFoundError, match="user 'nobody' does not exist"):
            await attempt


async def test_an_open_invitation_dies_with_its_user(rig: Rig) -> None:
    invitation = await rig.auth.add_user(ADMIN, "ada", roles=["access"])
    await rig.auth.remove_user(ADMIN, "ada")
    await rig.auth.add_user(ADMIN, "ada", roles=["editor"])
    with pytest.raises(AccessError, match="not known"):
        await rig.auth.accept_signup(invitation.token, PASSWORD)


async def test_no_secret_stands_in_the_file_in_clear(tmp_path: Path, cheap_hashes: None) -> None:
    async with running(tmp_path) as rig:
        open_token = (await rig.auth.add_user(ADMIN, "bob", roles=[])).token
        used_token = (await rig.auth.add_user(ADMIN, "ada", roles=["access"])).token
        await rig.auth.accept_signup(used_token, PASSWORD)
        with pytest.raises(AccessError):
            await rig.login(user="hunter2-typed-as-a-name")
    connection = sqlite3.connect(tmp_path / "state.db")
    dump = "\n".join(connection.iterdump())
    connection.close()
    assert "ada" in dump
    for secret in (open_token, used_token, PASSWORD, "hunter2"):
        assert secret not in dump
