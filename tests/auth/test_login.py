"""Logging in: what counts, what is said, and what is recorded."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.auth import limits, passwords
from gateway.auth.desk import ISSUED_AT
from gateway.auth.login import LoginRequest
from gateway.ca import identity
from gateway.errors import AccessError, AuditError, CertificateError
from gateway.model.decision import Limits
from gateway.model.event import Kind
from gateway.model.identity import Use
from tests.auth.rig import ADMIN, CSR, PASSWORD, Rig, allowed, denied, running
from tests.ca.material import FakeClock, authorities, new_key, parsed, request_for

WRONG = "the user name, the password or the code is wrong"


def _code(uri: str | None, clock: FakeClock, steps: int = 0) -> str:
    assert uri is not None
    secret = parse_qs(urlsplit(uri).query)["secret"][0]
    return pyotp.TOTP(secret).at(int(clock.moment.timestamp()) + 30 * steps)


async def test_a_login_is_a_certificate_for_the_key_of_the_request(rig: Rig) -> None:
    await rig.add(roles=["access", "auditor"])
    await rig.auth.set_traits(ADMIN, "ada", {"db_users": ["ada", "reader"]})
    key = new_key()
    made = await rig.auth.login(LoginRequest("ada", PASSWORD, request_for(key, name="root")))
    certificate = parsed(made.certificate_pem)
    found = identity.from_chain(certificate, authorities().user, uses=(Use.USER,), now=rig.clock.moment)
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)
    assert (found.user, found.roles) == ("ada", ("access", "auditor"))
    assert found.traits == {"db_users": ("ada", "reader")}
    assert (made.user, made.cluster, made.serial, made.expires) == (
        "ada",
        "example",
        found.serial,
        found.expires,
    )
    assert parsed(made.host_ca_pem) == authorities().host.certificate


@pytest.mark.parametrize(
    ("user", "password"), [("ada", "wrong"), ("nobody", PASSWORD), ("", ""), ("bob", "")]
)
async def test_whatever_is_wrong_the_words_are_the_same(rig: Rig, user: str, password: str) -> None:
    await rig.add()
    await rig.auth.add_user(ADMIN, "bob", roles=["access"])  # invited, without a password yet
    with pytest.raises(AccessError) as refused:
        await rig.login(user, password)
    assert (str(refused.value), refused.value.code, refused.value.hint) == (WRONG, "login_failed", "")


@pytest.mark.parametrize(
    ("asked", "bound", "given"),
    [
        (None, None, timedelta(hours=8)),
        (timedelta(hours=12), None, timedelta(hours=12)),
        (timedelta(hours=30), None, timedelta(hours=12)),
        (timedelta(hours=1), None, timedelta(hours=1)),
        (None, 3600, timedelta(hours=1)),
        (timedelta(hours=12), 36_000, timedelta(hours=10)),
        (timedelta(minutes=5), 3600, timedelta(minutes=5)),
        (None, 10**9, timedelta(hours=8)),
    ],
)
async def test_a_login_lasts_as_long_as_asked_and_as_the_policy_lets_it(
    rig: Rig, asked: timedelta | None, bound: int | None, given: timedelta
) -> None:
    await rig.add()
    rig.policy.login_answer = allowed(Limits(max_session_seconds=bound))
    assert (await rig.login(ttl=asked)).expires == rig.clock.moment + given


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(seconds=-5)])
async def test_a_login_of_no_time_is_refused(rig: Rig, ttl: timedelta) -> None:
    await rig.add()
    with pytest.raises(AccessError) as refused:
        await rig.login(ttl=ttl)
    assert refused.value.code == "ttl_invalid"


async def test_the_policy_can_refuse_a_login_and_is_asked_only_after_the_password(rig: Rig) -> None:
    await rig.add()
    rig.policy.login_answer = denied("locked", "a lock is in force")
    with pytest.raises(AccessError, match="a lock is in force") as refused:
        await rig.login()
    assert refused.value.code == "locked"
    with pytest.raises(AccessError, match=WRONG):
        await rig.login(password="wrong")
    assert rig.policy.asked.count(("ada", "login")) == 1


async def test_a_removed_user_cannot_log_in(rig: Rig) -> None:
    await rig.add()
    await rig.auth.remove_user(ADMIN, "ada")
    with pytest.raises(AccessError, match=WRONG):
        await rig.login()
    await rig.auth.add_user(ADMIN, "ada", roles=["access"])
    with pytest.raises(AccessError, match=WRONG):
        await rig.login()


async def test_a_reset_user_cannot_log_in_until_a_new_password_is_chosen(rig: Rig) -> None:
    uri = await rig.add(want_totp=True)
    invitation = await rig.auth.reset_user(ADMIN, "ada")
    with pytest.raises(AccessError, match=WRONG):
        await rig.login(totp=_code(uri, rig.clock))
    await rig.auth.accept_signup(invitation.token, "another long password")
    await rig.login(password="another long password")


async def test_a_user_removed_while_the_password_is_checked_gets_nothing(rig: Rig) -> None:
    """The policy's turn comes between the check and the issue: there the user goes."""
    await rig.add()
    ask = rig.policy.login

    async def remove_meanwhile(user: str) -> object:
        await rig.auth.remove_user(ADMIN, user)
        return await ask(user)

    rig.policy.login = remove_meanwhile  # type: ignore[method-assign,assignment]  # a meaner policy
    with pytest.raises(AccessError, match=WRONG):
        await rig.login()
    assert rig.log.of(Kind.CERT_CREATE) == []


# The second factor


async def test_a_code_is_asked_for_only_after_the_password_was_right(rig: Rig) -> None:
    uri = await rig.add(want_totp=True)
    with pytest.raises(AccessError, match="authenticator") as refused:
        await rig.login()
    assert refused.value.code == "totp_required"
    with pytest.raises(AccessError, match=WRONG):
        await rig.login(password="wrong", totp=_code(uri, rig.clock))
    await rig.login(totp=_code(uri, rig.clock))


async def test_a_code_works_once(rig: Rig) -> None:
    uri = await rig.add(want_totp=True)
    await rig.login(totp=_code(uri, rig.clock))
    with pytest.raises(AccessError, match=WRONG):
        await rig.login(totp=_code(uri, rig.clock))
    with pytest.raises(AccessError, match=WRONG):
        await rig.login(totp=_code(uri, rig.clock, -1))
    rig.clock.move(timedelta(seconds=30))
    await rig.login(totp=_code(uri, rig.clock))


async def test_of_many_logins_at_once_with_one_code_one_succeeds(rig: Rig) -> None:
    uri = await rig.add(want_totp=True)
    code = _code(uri, rig.clock)
    results = await asyncio.gather(*(rig.login(totp=code) for _ in range(10)), return_exceptions=True)
    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert len(rig.log.of(Kind.CERT_CREATE)) == 1


async def test_a_code_that_led_to_no_login_is_not_used_up(rig: Rig) -> None:
    uri = await rig.add(want_totp=True)
    code = _code(uri, rig.clock)
    rig.log.broken = True
    with pytest.raises(AuditError):
        await rig.login(totp=code)
    rig.log.broken = False
    await rig.login(totp=code)


async def test_wrong_passwords_and_wrong_codes_fill_one_limit_that_shuts_both_out(rig: Rig) -> None:
    uri = await rig.add(want_totp=True)
    for number in range(limits.LOGIN_FAILURES.count):
        rig.clock.move(timedelta(seconds=10))
        other = "000000" if _code(uri, rig.clock) != "000000" else "000001"
        wrong = {"totp": other} if number % 2 else {"password": "wrong"}
        with pytest.raises(AccessError, match=WRONG):
            await rig.login(**wrong)
    rig.clock.move(timedelta(seconds=61))
    with pytest.raises(AccessError) as refused:
        await rig.login(totp=_code(uri, rig.clock))
    assert refused.value.code == "rate_limited"
    rig.clock.move(timedelta(seconds=900))
    await rig.login(totp=_code(uri, rig.clock))


async def test_a_success_forgives_earlier_failures(rig: Rig) -> None:
    await rig.add()
    for _ in range(3):
        for _ in range(limits.LOGIN_FAILURES.count - 1):
            rig.clock.move(timedelta(seconds=7))
            with pytest.raises(AccessError, match=WRONG):
                await rig.login(password="wrong")
        await rig.login()


# Limits


@pytest.mark.parametrize("user", ["ada", "nobody"])
async def test_ten_attempts_a_minute_for_a_name_known_or_not(rig: Rig, user: str) -> None:
    await rig.add()
    for number in range(10):
        with pytest.raises(AccessError, match=WRONG):
            await rig.login(user, "wrong", source=f"192.0.2.{number}")
    with pytest.raises(AccessError) as refused:
        await rig.login(user, PASSWORD, source="192.0.2.99")
    assert refused.value.code == "rate_limited"
    assert rig.log.of(Kind.USER_LOGIN)[-1]["success"] is False
    rig.clock.move(timedelta(seconds=60))
    if user == "ada":
        await rig.login(user)


async def test_thirty_attempts_a_minute_for_a_source(rig: Rig) -> None:
    await rig.add()
    for number in range(30):
        with pytest.raises(AccessError, match=WRONG):
            await rig.login(f"user-{number}", "wrong", source="192.0.2.1")
    with pytest.raises(AccessError, match="too many"):
        await rig.login(source="192.0.2.1")
    await rig.login(source="192.0.2.2")


async def test_limits_hold_for_attempts_at_the_same_time(rig: Rig) -> None:
    await rig.add()
    results = await asyncio.gather(*(rig.login(password="wrong") for _ in range(40)), return_exceptions=True)
    codes = [result.code for result in results if isinstance(result, AccessError)]
    assert (codes.count("login_failed"), codes.count("rate_limited")) == (10, 30)


async def test_limits_survive_a_restart(tmp_path: Path, cheap_hashes: None) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as rig:
        await rig.add()
        for _ in range(10):
            with pytest.raises(AccessError, match=WRONG):
                await rig.login(password="wrong")
    async with running(tmp_path, clock) as rig:
        with pytest.raises(AccessError, match="too many"):
            await rig.login()


async def test_attempts_over_the_limit_do_not_fill_the_audit_log(rig: Rig) -> None:
    for _ in range(40):
        with pytest.raises(AccessError):
            await rig.login("nobody", "wrong")
    assert len(rig.log.of(Kind.USER_LOGIN)) == 10


# The record


async def test_a_login_and_its_certificate_are_recorded(rig: Rig) -> None:
    await rig.add()
    made = await rig.login(source="192.0.2.1")
    (login,) = rig.log.of(Kind.USER_LOGIN)
    (certificate,) = rig.log.of(Kind.CERT_CREATE)
    assert (login["user"], login["success"], login["client_address"]) == ("ada", True, "192.0.2.1")
    assert (certificate["serial"], certificate["use"]) == (made.serial, "user")
    assert await rig.store.certificates_since(0) == 1


async def test_a_failure_is_recorded_without_what_was_typed(rig: Rig) -> None:
    await rig.add()
    for user in ("ada", "hunter2-typed-as-a-name"):
        with pytest.raises(AccessError):
            await rig.login(user, "a-secret-guess", source="192.0.2.1")
    assert [fields["user"] for fields in rig.log.of(Kind.USER_LOGIN)] == ["ada", ""]
    assert "hunter2" not in repr(rig.log.events)
    assert "a-secret-guess" not in repr(rig.log.events)


async def test_no_record_no_login(rig: Rig) -> None:
    await rig.add()
    rig.log.broken = True
    with pytest.raises(AuditError):
        await rig.login()
    assert await rig.store.certificates_since(0) == 0


def test_a_request_does_not_show_its_secrets() -> None:
    shown = repr(LoginRequest("ada", PASSWORD, CSR, totp="123456"))
    assert PASSWORD not in shown
    assert "123456" not in shown


# Hashes and clocks


async def test_an_outdated_hash_is_renewed_at_the_next_login(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.add()
    stored = await rig.store.credentials("ada")
    stronger = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", stronger)
    await rig.login()
    renewed = await rig.store.credentials("ada")
    assert stored is not None
    assert renewed is not None
    assert stored.password_hash != renewed.password_hash
    assert not passwords.is_outdated(renewed.password_hash)
    await rig.login()


async def test_many_logins_at_once_hash_two_at_a_time(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once: list[int] = []
    active: list[str] = []

    def slow(_hash: str, _password: str) -> bool:
        active.append("one")
        time.sleep(0.2)
        at_once.append(len(active))
        active.pop()
        return False

    monkeypatch.setattr(passwords, "matches", slow)
    await asyncio.gather(*(rig.login(f"user-{n}") for n in range(10)), return_exceptions=True)
    assert len(at_once) == 10
    assert max(at_once) == 2


async def test_nothing_is_issued_when_the_clock_moved_back_not_even_after_a_restart(
    tmp_path: Path, cheap_hashes: None
) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as rig:
        await rig.add()
        await rig.login()
        assert await rig.store.counter(ISSUED_AT) == clock.now_ns()
    clock.move(timedelta(minutes=-2))
    async with running(tmp_path, clock) as rig:
        with pytest.raises(CertificateError, match="clock moved back by 120 seconds"):
            await rig.login()
        clock.move(timedelta(minutes=2))
        await rig.login()


@pytest.mark.parametrize("csr", ["", "nonsense", "x" * 20_000])
async def test_a_request_that_cannot_be_used_is_refused_before_anything_else(rig: Rig, csr: str) -> None:
    await rig.add()
    with pytest.raises(CertificateError):
        await rig.auth.login(LoginRequest("ada", PASSWORD, csr))
