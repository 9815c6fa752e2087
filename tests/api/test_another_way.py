"""A service whose way to the auth service is cut goes another one, and comes back; its log waits for that."""

import socket
from itertools import count
from pathlib import Path

import pytest

from gateway.address import Address
from gateway.errors import BackendError
from gateway.tunnel.remote import Remote
from tests.api.rig import Rig
from tests.api.services import enrolled
from tests.servers.process import free_port

NUMBERS = count()


@pytest.fixture
def ways(rig: Rig, tmp_path: Path) -> tuple[Remote, Address, Address]:
    """A service's remote, with an address that nobody listens on and one that works."""
    remote = enrolled(rig, tmp_path / "service", f"agent-of-two-ways-{next(NUMBERS)}").remote()
    nobody, works = Address("localhost", free_port()), remote.server
    remote.server = remote._turn = nobody
    return remote, nobody, works


async def test_without_another_way_the_one_that_fails_is_named(
    ways: tuple[Remote, Address, Address],
) -> None:
    remote, nobody, _ = ways
    async with remote:
        with pytest.raises(BackendError, match=f"cannot reach {nobody}"):
            await remote.renew()


async def test_another_way_is_gone_and_the_first_one_again_once_it_is_there(
    ways: tuple[Remote, Address, Address],
) -> None:
    remote, nobody, works = ways
    remote.others = (works,)
    async with remote:
        assert (await remote.renew()).id == remote.credentials.id
        assert remote._turn == works
        with pytest.raises(BackendError, match=f"cannot reach {nobody}"):
            await remote.held()  # what was shipped is known there alone
        remote.server, remote.others = works, (nobody,)
        remote._turn = nobody
        assert await remote.register([]) == []
        assert remote._turn == works


async def test_somebody_who_takes_a_connection_and_says_nothing_is_not_waited_for(
    ways: tuple[Remote, Address, Address], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.tunnel.remote.CONNECT_SECONDS", 0.5)
    remote, _, works = ways
    with socket.create_server(("127.0.0.1", 0)) as frozen:  # as a process that was stopped
        remote.server = remote._turn = Address("localhost", frozen.getsockname()[1])
        remote.others = (works,)
        async with remote:
            assert await remote.register([]) == []
            assert remote._turn == works
