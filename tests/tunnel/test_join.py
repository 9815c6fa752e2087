"""Joining where the cluster answers wrongly, late or not at all: a sentence, a remedy, and another try."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509

from gateway.address import Address
from gateway.ca.keys import ca_pin
from gateway.config import Join
from gateway.errors import AccessError, BackendError, ConfigError
from gateway.tunnel.credentials import now
from gateway.tunnel.join import join, until_joined
from tests.servers.certificates import Authority
from tests.servers.process import free_port


@dataclass
class Cluster:
    """What a cluster answers, as the test wants it."""

    authority: Authority
    port: int = field(default_factory=free_port)
    behind: timedelta = timedelta()
    refusal: dict[str, str] = field(default_factory=dict)
    joins: list[dict[str, Any]] = field(default_factory=list)

    @property
    def pin(self) -> str:
        return ca_pin(x509.load_pem_x509_certificate(self.authority.ca.read_bytes()))

    def wanted(self, pin: str = "", token: str = "t" * 64) -> Join:
        return Join(Address("localhost", self.port), token, pin or self.pin)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        application = web.Application()
        application.add_routes([web.get("/v1/ping", self._ping), web.post("/v1/join", self._join)])
        runner = web.AppRunner(application)
        await runner.setup()
        files = self.authority.server()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(files.certificate, files.key)
        await web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=context).start()
        try:
            yield
        finally:
            await runner.cleanup()

    async def _ping(self, _request: web.Request) -> web.Response:
        there = now() - self.behind
        return web.json_response({"host_ca": self.authority.ca.read_text(), "time": there.isoformat()})

    async def _join(self, request: web.Request) -> web.Response:
        self.joins.append(await request.json())
        if self.refusal:
            return web.json_response({"error": self.refusal}, status=403)
        names = ("id", "cluster", "certificate", "host_ca", "user_ca", "db_ca")
        return web.json_response(dict.fromkeys(names, "given"))


class Said:
    """What would have been logged."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.heard = asyncio.Event()

    def warning(self, event: str, **about: Any) -> None:
        self.warnings.append(f"{event}: {about['error']}")
        self.heard.set()


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(Authority(tmp_path / "authority"))


async def test_a_service_joins_and_the_token_travels_once(cluster: Cluster) -> None:
    async with cluster.serving():
        found = await join(cluster.wanted(), "db", "host")
    assert found.id == "given"
    assert [item["token"] for item in cluster.joins] == ["t" * 64]


async def test_another_authority_than_the_pinned_one_gets_no_token(cluster: Cluster) -> None:
    wrong = "sha256:" + "0" * 64
    async with cluster.serving():
        with pytest.raises(ConfigError, match="has not the pinned authority") as refused:
            await join(cluster.wanted(wrong), "db", "host")
    assert cluster.pin in str(refused.value)
    assert "ask its operator" in refused.value.hint
    assert cluster.joins == []


@pytest.mark.parametrize(("minutes", "says"), [(5, "ahead of"), (-5, "behind")])
async def test_clocks_that_are_minutes_apart_are_told_before_the_token_is_used(
    cluster: Cluster, minutes: int, says: str
) -> None:
    cluster.behind = timedelta(minutes=minutes)
    async with cluster.serving():
        with pytest.raises(ConfigError, match=rf"this host's clock is \d+ seconds {says} that of") as refused:
            await join(cluster.wanted(), "db", "host")
    assert "set the clock" in refused.value.hint
    assert cluster.joins == []


async def test_clocks_that_are_seconds_apart_are_good_enough(cluster: Cluster) -> None:
    cluster.behind = timedelta(seconds=30)
    async with cluster.serving():
        await join(cluster.wanted(), "db", "host")


@pytest.mark.parametrize("code", ["token_expired", "token_invalid", "name_taken"])
async def test_a_token_that_is_not_good_ends_the_service(cluster: Cluster, tmp_path: Path, code: str) -> None:
    cluster.refusal = {"code": code, "message": "the join token has expired", "hint": "make a new one"}
    async with cluster.serving():
        with pytest.raises(AccessError, match="has expired") as refused:
            await until_joined(tmp_path / "service", cluster.wanted(), "db", "host", (), Said())
    assert refused.value.code == code
    assert refused.value.hint == "make a new one"
    assert len(cluster.joins) == 1, "it is not tried again"


async def test_a_proxy_that_is_not_there_yet_is_waited_for(cluster: Cluster, tmp_path: Path) -> None:
    said = Said()
    waiting = asyncio.create_task(
        until_joined(tmp_path / "service", cluster.wanted(), "db", "host", (), said)
    )
    await asyncio.wait_for(said.heard.wait(), 20)
    assert said.warnings[0].startswith("cannot join yet: cannot reach localhost:")
    async with cluster.serving():
        found = await asyncio.wait_for(waiting, 20)
    assert found.id == "given"
    assert (tmp_path / "service" / "service.json").stat().st_mode & 0o777 == 0o600


async def test_a_proxy_that_refuses_connections_is_named(cluster: Cluster) -> None:
    with pytest.raises(BackendError, match=rf"cannot reach localhost:{cluster.port}"):
        await join(cluster.wanted(), "db", "host")


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda _path: None, "there is no token in"),
        (lambda path: path.write_text("\n"), "expected a token"),
    ],
)
async def test_without_a_token_nobody_is_asked(
    cluster: Cluster, tmp_path: Path, write: Callable[[Path], None], says: str
) -> None:
    write(tmp_path / "token")
    with pytest.raises(ConfigError, match=says):
        await join(cluster.wanted(token=str(tmp_path / "token")), "db", "host")
