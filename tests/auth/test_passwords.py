import statistics
import time
from datetime import timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher, extract_parameters

from gateway.auth import passwords
from gateway.errors import AccessError, ConfigError
from tests.auth.rig import PASSWORD, running

_WINDOW = timedelta(minutes=16)


def test_a_hash_is_argon2id_at_64_mib_three_passes_one_lane() -> None:
    for made in (passwords.make_hash(PASSWORD), passwords._DUMMY):
        found = extract_parameters(made)
        assert (found.type.name, found.memory_cost, found.time_cost, found.parallelism) == ("ID", 65536, 3, 1)


def test_only_the_password_matches() -> None:
    made = passwords.make_hash(PASSWORD)
    assert passwords.matches(made, PASSWORD)
    for other in ("", PASSWORD + " ", PASSWORD.upper(), PASSWORD[:-1]):
        assert not passwords.matches(made, other)


@pytest.mark.usefixtures("cheap_hashes")
def test_a_password_is_the_same_however_its_characters_were_typed() -> None:
    composed, decomposed = "passphrase-\u00e9-x", "passphrase-e\u0301-x"
    assert passwords.matches(passwords.make_hash(composed), decomposed)


@pytest.mark.usefixtures("cheap_hashes")
@pytest.mark.parametrize("broken", ["", "nonsense", "$argon2id$v=19$m=8,t=1,p=1$AAAA", "$2b$12$abc"])
def test_a_hash_that_is_none_matches_nothing(broken: str) -> None:
    for password in ("", PASSWORD, "nobody knows this"):
        assert not passwords.matches(broken, password)


@pytest.mark.usefixtures("cheap_hashes")
def test_odd_passwords_are_just_wrong() -> None:
    made = passwords.make_hash(PASSWORD)
    for odd in ("\ud800", "\0" * 50, "x" * 1_000_000, "\ufdfa" * 500_000):
        assert not passwords.matches(made, odd)


@pytest.mark.parametrize(
    "password", ["", "short", "x" * 11, "x" * 1025, "twelve-chars\n", "twelve-chars\ud800"]
)
def test_a_new_password_must_be_of_use(password: str) -> None:
    with pytest.raises(ConfigError, match="password"):
        passwords.check_new(password)


def test_a_weaker_hash_is_outdated() -> None:
    weaker = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
    assert passwords.is_outdated(weaker.hash(PASSWORD))
    assert not passwords.is_outdated(passwords.make_hash(PASSWORD))


async def test_an_unknown_user_takes_as_long_as_a_wrong_password(tmp_path: Path) -> None:
    """With the real cost of a hash.

    It is the processor's time: what else this machine does is not in it. Trials alternate, and the fastest
    third of each is compared.
    """
    async with running(tmp_path) as rig:
        await rig.add("ada")
        times: dict[str, list[float]] = {"ada": [], "nobody": []}
        for _ in range(12):
            for user, taken in times.items():
                rig.clock.move(_WINDOW)
                start = time.process_time()
                with pytest.raises(AccessError, match="is wrong"):
                    await rig.login(user=user, password="not the password")
                taken.append(time.process_time() - start)
    known, unknown = (statistics.median(sorted(taken)[:4]) for taken in times.values())
    assert 0.8 < unknown / known < 1.25
    assert unknown > 0.02  # a hash was computed at all
