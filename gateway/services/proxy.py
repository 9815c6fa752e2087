"""The proxy service: the public TLS port, the API behind it, and the unix socket for commands on the host."""

import asyncio  # noqa: TID251
import os
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from aiohttp import web

from gateway.api import agent_holds, agents, caller, policies
from gateway.api.application import application
from gateway.api.caller import SubjectFromRequest
from gateway.api.databases import Visible, VisibleDatabase
from gateway.ca.issue import mint_host
from gateway.ca.profile import HOST_MAX, Kind
from gateway.ca.sign import MintedCertificate
from gateway.ca.tls import server_context
from gateway.model.identity import Identity
from gateway.protocols import REGISTRY
from gateway.sansio.protocol import Protocol
from gateway.services.cluster import Cluster
from gateway.services.fleet import Fleet
from gateway.services.here import certificates_of
from gateway.services.own_port import greeting, own_port
from gateway.services.web_certificate import WebCertificate
from gateway.session.connection import serving
from gateway.transport.listener import HTTP, Listener, Port, listen
from gateway.tunnel import passing, preface
from gateway.tunnel.arrivals import Arrivals

RENEW_AFTER = HOST_MAX / 2
LOCAL_NAMES = ("localhost", "127.0.0.1")


class HostCertificate:
    """The proxy's own certificate, made anew at half its life; connections take the one of the moment."""

    def __init__(self, running: Cluster, names: Sequence[str]) -> None:
        self._running = running
        self._names = tuple(dict.fromkeys(names))
        self.databases = tuple(name for protocol in REGISTRY.values() for name in protocol.alpn)
        self.minted: MintedCertificate
        self._context = self._make()

    def context(self) -> ssl.SSLContext:
        """What a connection that is accepted now uses."""
        return self._context

    async def renew_forever(self) -> None:
        """Make a new certificate whenever half the life of the last one is over."""
        while True:
            await asyncio.sleep(RENEW_AFTER / timedelta(seconds=1))
            self.renew()

    def renew(self) -> None:
        """Make a new certificate now, and trust whom the authorities of now have signed."""
        self._context = self._make()

    def _make(self) -> ssl.SSLContext:
        authorities = self._running.authorities
        self.minted = mint_host(
            authorities.host_serving, names=self._names, now=self._running.auth.steady.now()
        )
        return server_context(self.minted, trusted(self._running), alpn=[*self.databases, HTTP, preface.ALPN])


async def _greeting(protocol: Protocol, running: Cluster) -> bytes:
    return await greeting(protocol, running.databases.all(), running.environment.dialler)


def trusted(running: Cluster) -> str:
    """Whose certificates clients may show: people's, and services' elsewhere."""
    return running.authorities.trusted_pem(Kind.USER) + running.authorities.trusted_pem(Kind.HOST)


@asynccontextmanager
async def listening(running: Cluster) -> AsyncIterator[str]:
    """Open the public port and the admin socket; yields the address that the port listens on."""
    config = running.config.proxy_service
    names = [address.host for address in config.public]
    certificate = HostCertificate(running, [*names, *LOCAL_NAMES])
    running.authorities.on_change(certificate.renew)
    shown = None
    if config.web is not None:
        shown = await asyncio.to_thread(WebCertificate, config.web, lambda: trusted(running), running.log)
        running.authorities.on_change(shown.renew)
    by_certificate = caller.by_certificate(running.authorities, running.clock)
    async with AsyncExitStack() as stack:
        public = await stack.enter_async_context(_runner(running, by_certificate))
        local = await stack.enter_async_context(_runner(running, caller.local))
        await _admin_socket(local, running.config.admin_socket)
        fleet = Fleet(running, certificate, running.config.db_service.workers)
        await stack.enter_async_context(fleet.serving())
        control = web.AppRunner(running.links.application(), access_log=None, handle_signals=False)
        await control.setup()
        stack.push_async_callback(control.cleanup)
        stack.push_async_callback(running.links.close)
        assert public.server is not None
        assert control.server is not None
        arrivals = _arrivals(running)
        port = Port(
            context=certificate.context,
            by_alpn={name: protocol for protocol in REGISTRY.values() for name in protocol.alpn},
            plain=REGISTRY["postgres"],
            http=public.server,
            hand_over=fleet.hand_over,
            others={preface.ALPN: control.server},
            greetings={preface.FIRST_BYTE: running.links.arrived, passing.FIRST_BYTE: arrivals.arrived},
            web=None if shown is None else shown.context,
        )
        if not config.enabled:
            port = Port(
                certificate.context,
                by_alpn={},
                plain=None,
                http=public.server,
                greetings={passing.FIRST_BYTE: arrivals.arrived},
                web=port.web,
            )
        place = running.config.listens_at
        listening_socket = listen(place.host, place.port)
        stack.callback(listening_socket.close)
        alone = []
        for name, own in config.protocols.items() if config.enabled else ():
            opened = listen(own.host, own.port)
            stack.callback(opened.close)
            reached = f"{config.public[0].host}:{opened.getsockname()[1]}"
            protocol = REGISTRY[name]
            greet = partial(_greeting, protocol, running)
            to_worker = fleet.at_port_of(protocol, reached)
            its = own_port(protocol, reached, certificate.context, greet=greet, hand_over=to_worker)
            alone.append((opened, its))
        listener = Listener(port, serving(running.environment), running.log)
        arrivals.serve = listener.serve_passed
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        running_tasks = [
            tasks.create_task(listener.serve(listening_socket)),
            tasks.create_task(certificate.renew_forever()),
            *(
                tasks.create_task(Listener(its, serving(running.environment), running.log).serve(opened))
                for opened, its in alone
            ),
            *([] if shown is None else [tasks.create_task(shown.watch_forever())]),
        ]
        host, number = listening_socket.getsockname()[:2]
        try:
            yield f"{host}:{number}"
        finally:
            for task in running_tasks:
                task.cancel()


def _arrivals(running: Cluster) -> Arrivals:
    """What proxies by themselves pass on to this port."""

    async def may(proxy: Identity) -> None:
        await running.auth.elsewhere.standing(proxy, "open")

    return Arrivals(lambda: certificates_of(running.authorities, Kind.HOST), may, running.clock, running.log)


@asynccontextmanager
async def _runner(running: Cluster, who: SubjectFromRequest) -> AsyncIterator[web.AppRunner]:
    config = running.config
    callers = caller.Callers(who, running.sidecar.client)
    app = application(
        running.auth,
        subject_from_request=who,
        policy=running.sidecar.client,
        visible=visible(running),
        audit_reader=running.estate,
        health=running.health,
        metrics=running.environment.metrics,
        public_addr=str(config.proxy_service.public[0]),
        proxies=[str(address) for address in config.proxy_service.public],
        native=config.proxy_service.native,
        waiting=running.environment.holds,
        more=[
            *[route for intake in running.intakes for route in intake.routes()],
            *policies.routes(running.policies, callers),
            agent_holds.route(running.auth, running.environment.holds, agents.service_of(running.auth)),
        ],
        feed=running.feed,
    )
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2.0)
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


async def _admin_socket(runner: web.AppRunner, path: Path) -> None:
    """Listen where only the owner of the data directory can knock."""
    await asyncio.to_thread(path.unlink, missing_ok=True)
    before = os.umask(0o177)
    try:
        await web.UnixSite(runner, str(path)).start()
    finally:
        os.umask(before)


def visible(running: Cluster) -> Visible:
    """What an identity may see, as the policy says."""

    async def ask(identity: Identity) -> list[VisibleDatabase]:
        databases = {item.name: item for item in running.databases.all()}
        seen = await running.sidecar.client.visible(
            identity, list(databases.values()), running.clock.now_ns()
        )
        return [
            VisibleDatabase(databases[item.name], item.db_users, item.db_names)
            for item in seen
            if item.name in databases
        ]

    return ask
