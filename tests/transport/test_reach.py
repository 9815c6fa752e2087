"""The address that was compared is the one that is dialled, whatever a name means a moment later."""

import asyncio
import ipaddress
import socket
import ssl
from typing import Any

import pytest

from gateway import ranges
from gateway.errors import BackendError
from gateway.model.identity import Route
from gateway.model.resource import BackendAuth, Database
from gateway.protocols import REGISTRY
from gateway.sansio.protocol import Startup
from gateway.session.dial import Dialler

NAME = "db.example.test"


class NoCertificates:
    async def take(self, _database: Database, _db_user: str) -> ssl.SSLContext:
        return ssl.create_default_context()


class Names:
    """A name server that gives another answer each time it is asked, as the loop's own would hear it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        self.asked = 0
        self.answers = answers
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self.look_up, raising=True)

    async def look_up(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        assert host == NAME
        found = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            (
                socket.AF_INET6 if ipaddress.ip_address(one).version == 6 else socket.AF_INET,
                socket.SOCK_STREAM,
                0,
                "",
                (one, port),
            )
            for one in found
        ]


async def attempt(dialler: Dialler, port: int) -> str:
    database = Database("orders", "postgres", f"{NAME}:{port}", auth=BackendAuth.NONE)
    route = Route("orders", "postgres", "alice", "mydb")
    with pytest.raises(BackendError) as raised:
        await dialler.login(REGISTRY["postgres"], Startup(), route, database)
    return str(raised.value)


async def accepted(listening: socket.socket) -> bool:
    """Whether somebody knocked; what is connected stands in the queue at once on loopback."""
    try:
        listening.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.fixture
def listening() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


async def test_a_refused_address_is_not_dialled(
    monkeypatch: pytest.MonkeyPatch, listening: socket.socket
) -> None:
    names = Names(monkeypatch, ["127.0.0.1"])
    dialler = Dialler(NoCertificates(), ranges.parse(("127.0.0.0/8",)), dial_seconds=5.0)
    said = await attempt(dialler, listening.getsockname()[1])
    assert "127.0.0.1 is an address where no database may be (db_service.deny_addresses)" in said
    assert names.asked == 1
    assert not await accepted(listening)


async def test_a_name_that_means_something_else_a_moment_later_gains_nothing(
    monkeypatch: pytest.MonkeyPatch, listening: socket.socket
) -> None:
    """DNS rebinding: the second answer would be the forbidden one. Nobody asks a second time."""
    names = Names(monkeypatch, ["127.0.0.2"], ["127.0.0.1"])
    dialler = Dialler(NoCertificates(), ranges.parse(("127.0.0.1/32",)), dial_seconds=5.0)
    said = await attempt(dialler, listening.getsockname()[1])  # nobody listens at 127.0.0.2
    assert "refused" in said
    assert names.asked == 1
    assert not await accepted(listening)


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"])
async def test_a_metadata_service_is_no_database(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    Names(monkeypatch, [address])
    said = await attempt(Dialler(NoCertificates()), 80)
    assert f"{address} is an address where no database may be" in said


async def test_the_addresses_of_a_name_that_are_allowed_are_tried(
    monkeypatch: pytest.MonkeyPatch, listening: socket.socket
) -> None:
    Names(monkeypatch, ["169.254.169.254", "127.0.0.1"])
    dialler = Dialler(NoCertificates(), dial_seconds=0.3)
    port = listening.getsockname()[1]
    assert "did not answer" in await attempt(dialler, port)
    assert await accepted(listening)
