from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from gateway.auth import passwords
from tests.auth.rig import Rig, running


@pytest.fixture
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 at its least cost: for tests that are about something else."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", cheap)
    monkeypatch.setattr(passwords, "_DUMMY", cheap.hash("nobody knows this"))


@pytest.fixture
async def rig(tmp_path: Path, cheap_hashes: None) -> AsyncIterator[Rig]:
    async with running(tmp_path) as found:
        yield found
