"""A service by itself renews its certificate in time, tries again when that fails, and keeps what it got."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
import structlog

from gateway.ca.issue import mint_host
from gateway.ca.profile import Kind
from gateway.errors import BackendError
from gateway.services import alone
from gateway.tunnel.credentials import Credentials, now
from gateway.tunnel.remote import Remote
from tests.ca.material import authorities

LIFE = timedelta(hours=72)


def credentials(age: timedelta) -> Credentials:
    """What a service holds whose certificate was made so long ago."""
    known = authorities()
    minted = mint_host(known.by_kind(Kind.HOST), names=["db-1"], ttl=LIFE, now=now() - age)
    trusted = {name: known.trusted_pem(kind) for name, kind in _TRUST.items()}
    return Credentials("db-1", "example", minted.key_pem, minted.cert_pem, **trusted)


_TRUST = {"host_ca": Kind.HOST, "user_ca": Kind.USER, "db_ca": Kind.DB}


class FakeRemote:
    """An auth service that renews after some refusals."""

    def __init__(self, held: Credentials, failures: int = 0) -> None:
        self.credentials = held
        self.failures = failures
        self.asked = 0
        self.used = asyncio.Event()

    async def renew(self) -> Credentials:
        self.asked += 1
        if self.asked <= self.failures:
            raise BackendError("cannot reach it")
        return replace(credentials(timedelta()), id="renewed")

    def use(self, held: Credentials) -> None:
        self.credentials = held
        self.used.set()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alone, "HEARTBEAT_SECONDS", 0.01)


async def keep(remote: FakeRemote, folder: Path, *, until_used: bool) -> None:
    task = asyncio.ensure_future(
        alone.keep_renewed(cast("Remote", remote), folder, structlog.get_logger("test"))
    )
    try:
        if until_used:
            await asyncio.wait_for(remote.used.wait(), 10)
        await asyncio.sleep(0.05)  # what would be asked once too often shows
    finally:
        task.cancel()


@pytest.mark.parametrize("failures", [0, 3])
async def test_two_thirds_of_a_life_are_enough_and_a_refusal_is_not_the_end(
    tmp_path: Path, failures: int
) -> None:
    remote = FakeRemote(credentials(LIFE * 2 / 3), failures)
    await keep(remote, tmp_path, until_used=True)
    assert remote.asked == failures + 1, "a new one is not renewed at once"
    kept = Credentials.load(tmp_path)
    assert kept is not None
    assert kept.id == "renewed"


async def test_a_young_certificate_is_kept(tmp_path: Path) -> None:
    remote = FakeRemote(credentials(LIFE / 2))
    await keep(remote, tmp_path, until_used=False)
    assert remote.asked == 0


def test_services_of_one_age_do_not_all_renew_at_once() -> None:
    held = credentials(timedelta())
    due = {round(held.seconds_to_renewal(now())) for _ in range(50)}
    assert len(due) > 20
    life = LIFE.total_seconds()
    assert all(0.56 * life < seconds < 0.67 * life for seconds in due)
