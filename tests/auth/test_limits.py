from datetime import timedelta
from pathlib import Path

import pytest

from gateway.auth import limits
from gateway.auth.limits import Limit
from gateway.auth.store import Store
from gateway.errors import AccessError
from tests.ca.material import FakeClock

THREE = Limit("test", 3, 60)


async def _try(store: Store, clock: FakeClock, who: str = "ada", limit: Limit = THREE) -> None:
    async with store.change() as change:
        await limits.attempt(change, limit, who, clock.now_ns())


async def test_one_more_than_the_limit_is_refused_with_the_time_to_wait(tmp_path: Path) -> None:
    clock = FakeClock()
    async with await Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store:
        for _ in range(3):
            await _try(store, clock)
            clock.move(timedelta(seconds=10))
        with pytest.raises(AccessError, match="too many attempts, at most 3 in 60 seconds") as refused:
            await _try(store, clock)
    assert refused.value.code == "rate_limited"
    assert refused.value.hint == "try again in 30 seconds"


async def test_the_window_slides(tmp_path: Path) -> None:
    clock = FakeClock()
    async with await Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store:
        for _ in range(3):
            await _try(store, clock)
            clock.move(timedelta(seconds=20))
        await _try(store, clock)
        with pytest.raises(AccessError):
            await _try(store, clock)


async def test_a_refused_attempt_does_not_count(tmp_path: Path) -> None:
    """Whoever keeps trying is let in again when the limit says so, and fills no disk."""
    clock = FakeClock()
    async with await Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store:
        for _ in range(3):
            await _try(store, clock)
        for _ in range(59):
            clock.move(timedelta(seconds=1))
            with pytest.raises(AccessError):
                await _try(store, clock)
        clock.move(timedelta(seconds=1))
        await _try(store, clock)


async def test_limits_are_separate_for_names_and_kinds(tmp_path: Path) -> None:
    clock, other = FakeClock(), Limit("other", 1, 60)
    async with await Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store:
        for _ in range(3):
            await _try(store, clock)
        await _try(store, clock, "bob")
        await _try(store, clock, "ada", other)
        with pytest.raises(AccessError):
            await _try(store, clock, "ada", other)


async def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    clock, url = FakeClock(), f"sqlite:///{tmp_path / 'state.db'}"
    async with await Store.open(url) as store:
        for _ in range(3):
            await _try(store, clock)
    async with await Store.open(url) as store:
        with pytest.raises(AccessError):
            await _try(store, clock)


async def test_old_attempts_are_removed(tmp_path: Path) -> None:
    clock = FakeClock()
    async with await Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store:
        for number in range(30):
            await _try(store, clock, f"user-{number}")
        clock.move(timedelta(minutes=16))
        await _try(store, clock)
        async with store._engine.connect() as connection:
            left = (await connection.exec_driver_sql("SELECT count(*) FROM attempts")).scalar()
    assert left == 1
