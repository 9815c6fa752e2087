"""A proxy by itself: it joins the auth service, and decides nothing and keeps nothing of its own."""

import asyncio  # noqa: TID251
import platform
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web
from cryptography import x509
from structlog.typing import FilteringBoundLogger

from gateway.ca.sign import MintedCertificate
from gateway.ca.tls import server_context
from gateway.clock import SystemClock, utc
from gateway.config import Config
from gateway.errors import AccessError, RegateError
from gateway.protocols import REGISTRY
from gateway.sansio import hello
from gateway.sansio.protocol import Protocol
from gateway.services.alone import keep_renewed, unless
from gateway.services.own_port import own_port
from gateway.transport.listener import HTTP, Listener, Port, listen
from gateway.tunnel import preface
from gateway.tunnel.front import Front, PassOn
from gateway.tunnel.join import until_joined
from gateway.tunnel.links import Links
from gateway.tunnel.passing import words
from gateway.tunnel.relay import Relay
from gateway.tunnel.remote import Remote

_BACK_OFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
_DATABASES = tuple(name for protocol in REGISTRY.values() for name in protocol.alpn)


class There:
    """``gateway.tunnel.relay.Where``, as the auth service last told it."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._made_of: object = None
        self._context: ssl.SSLContext | None = None

    @property
    def cluster(self) -> str:
        """The cluster's name."""
        return self._remote.credentials.cluster

    def host_ca(self) -> str:
        """The authorities of services, in PEM."""
        return self._remote.credentials.host_ca

    def host_authorities(self) -> tuple[x509.Certificate, ...]:
        """The same, to verify with."""
        return tuple(x509.load_pem_x509_certificates(self.host_ca().encode("ascii")))

    def is_elsewhere(self, _database: str) -> bool:
        """Every database is elsewhere; the auth service says which there are."""
        return True

    def context(self) -> ssl.SSLContext:
        """What a connection that is accepted now uses; made anew when the certificate or an authority is."""
        held = self._remote.credentials
        if self._context is None or self._made_of is not held:
            shown = MintedCertificate(held.certificate, held.key)
            trusted = held.user_ca + held.host_ca
            self._context = server_context(shown, trusted, alpn=[*_DATABASES, preface.ALPN, HTTP])
            self._made_of = held
        return self._context


async def proxy_service(config: Config, stop: asyncio.Event, tune: Callable[[], None]) -> None:
    """Run until *stop* is set."""
    assert config.join is not None, "the configuration says where the auth service is"
    log = structlog.get_logger("regate")
    folder = config.data_dir / "service"
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    public = [str(address) for address in config.proxy_service.public]
    joining = asyncio.ensure_future(until_joined(folder, config.join, "proxy", platform.node(), public, log))
    if not await unless(stop, joining):
        return
    async with AsyncExitStack() as stack:
        remote = await stack.enter_async_context(Remote(config.join.server, joining.result()))
        await _serve(config, folder, remote, stack, stop, tune, log)


async def _serve(
    config: Config,
    folder: Path,
    remote: Remote,
    stack: AsyncExitStack,
    stop: asyncio.Event,
    tune: Callable[[], None],
    log: FilteringBoundLogger,
) -> None:
    clock, there = SystemClock(), There(remote)
    links = Links(there.host_authorities, clock, log)
    relay = Relay(links, there, remote.open_session, clock, log)
    control = web.AppRunner(links.application(), access_log=None, handle_signals=False)
    await control.setup()
    stack.push_async_callback(control.cleanup)
    stack.push_async_callback(links.close)
    assert control.server is not None

    def introduce(address: str, hello: bytes) -> bytes:
        held = remote.credentials
        return words(address, hello, certificate_pem=held.certificate, key_pem=held.key, now=utc(clock))

    passing = PassOn([*_DATABASES, preface.ALPN], hello.alpn, remote.server, introduce, log)
    stack.callback(passing.close)
    port = Port(
        context=there.context,
        by_alpn={name: protocol for protocol in REGISTRY.values() for name in protocol.alpn},
        plain=REGISTRY["postgres"],
        http=control.server,  # reached by nothing: what speaks HTTP was passed on before
        others={preface.ALPN: control.server},
        greetings={preface.FIRST_BYTE: links.arrived},
        hand_over=passing.take,
    )
    listening = listen(config.proxy_service.listen.host, config.proxy_service.listen.port)
    stack.callback(listening.close)
    front = Front(relay, clock, log)
    listener = Listener(port, front.serve, log)
    tasks = await stack.enter_async_context(asyncio.TaskGroup())
    ready = asyncio.Event()
    work = [
        tasks.create_task(_follow(remote, folder, links, ready, log)),
        tasks.create_task(keep_renewed(remote, folder, log)),
        tasks.create_task(listener.serve(listening)),
        *(
            tasks.create_task(Listener(its, front.serve, log).serve(opened))
            for opened, its in _own_ports(config, there, stack)
        ),
    ]
    tune()
    await unless(stop, asyncio.ensure_future(ready.wait()))
    address = "{}:{}".format(*listening.getsockname()[:2])
    shown = ", ".join(str(item) for item in config.proxy_service.public)
    lines = (
        f"Cluster:  {remote.credentials.cluster}",
        f"Service:  {remote.credentials.id}",
        f"Listens:  {address} (clients reach it as {shown})",
        "Ready",
    )
    print("\n".join(lines), flush=True)  # noqa: T201 - the command's own words
    await stop.wait()
    print("Stopping", flush=True)  # noqa: T201 - the command's own words
    for task in work:
        task.cancel()


def _own_ports(config: Config, there: There, stack: AsyncExitStack) -> list[tuple[socket.socket, Port]]:
    """The ports of single protocols; what speaks anything else there is let go."""
    found = []
    for name, own in config.proxy_service.protocols.items():
        opened = listen(own.host, own.port)
        stack.callback(opened.close)
        protocol = REGISTRY[name]
        public = f"{config.proxy_service.public[0].host}:{opened.getsockname()[1]}"
        its = own_port(protocol, public, there.context, greet=partial(_greeting, protocol))
        found.append((opened, its))
    return found


async def _greeting(protocol: Protocol) -> bytes:
    """How to greet who has not said yet which database it wants: no server is known here."""
    assert protocol.speaks_first is not None, "asked only where the server speaks first"
    return protocol.speaks_first.shared([])


async def _follow(
    remote: Remote, folder: Path, links: Links, ready: asyncio.Event, log: FilteringBoundLogger
) -> None:
    """Take up who may be given sessions, and whom to believe."""
    failures = 0
    while True:
        try:
            async for told in remote.follow():
                await _take(remote, folder, links, told)
                failures = 0
                ready.set()
        except AccessError as error:
            log.warning("this proxy may not serve any more", error=str(error), code=error.code)
            await links.judge({})
        except RegateError as error:
            log.warning("the auth service tells nothing", error=str(error))
        await asyncio.sleep(_BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS) - 1)])
        failures += 1


async def _take(remote: Remote, folder: Path, links: Links, told: Mapping[str, Any]) -> None:
    trusting = remote.credentials.trusting(**told["trust"])
    if trusting != remote.credentials:
        remote.use(trusting)
        await asyncio.to_thread(trusting.save, folder)
    await links.judge(told["agents"])
