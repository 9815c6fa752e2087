"""A database service's side: a control channel to each proxy, and a connection back for each session."""

import asyncio  # noqa: TID251
import random
import socket
import ssl
from collections.abc import Callable, Collection
from contextlib import suppress
from http import HTTPStatus

import aiohttp
from cryptography import x509
from structlog.typing import FilteringBoundLogger

from gateway.address import Address
from gateway.clock import utc
from gateway.errors import CertificateError, ProtocolError
from gateway.protocols import REGISTRY
from gateway.sansio.protocol import Hello
from gateway.session.connection import Connection
from gateway.session.environment import Environment
from gateway.transport.line import Line, accept_tls
from gateway.transport.opening import first_byte
from gateway.transport.reach import keep_alive
from gateway.tunnel.credentials import Credentials
from gateway.tunnel.gate import Gate
from gateway.tunnel.links import HEARTBEAT_SECONDS
from gateway.tunnel.minting import RemoteSettings
from gateway.tunnel.preface import ALPN, MAX_MESSAGE, PATH, VIA, Cancel, Dial, decode, preface

CONNECT_SECONDS = 5.0
ANOTHER_WAY_SECONDS = 20.0
BACK_OFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
WELL_AFTER_SECONDS = 30.0
ARRIVALS_AT_ONCE = 200
MOST_SPARES = 64  # of all proxies together
SPARE_SECONDS = 45.0  # longer than a proxy keeps one


class Agent:
    """Serves what the proxies bring; ``run`` lasts as long as the service."""

    def __init__(
        self,
        credentials: Callable[[], Credentials],
        settings: RemoteSettings,
        env: Environment,
        log: FilteringBoundLogger,
    ) -> None:
        self._credentials = credentials
        self._settings = settings
        self._env = env
        self._log = log
        self._gate = Gate(env.agent, env.cluster)
        self._arrivals = asyncio.Semaphore(ARRIVALS_AT_ONCE)
        self._trust: tuple[Credentials, ssl.SSLContext, tuple[x509.Certificate, ...]] | None = None
        self._spares = 0
        self._channels: dict[Address, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self.connected: set[Address] = set()

    async def run(self) -> None:
        """Keep the channels and serve the sessions, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await asyncio.Event().wait()

    def reach(self, proxies: Collection[Address]) -> None:
        """Keep a channel to each of these, and to no other."""
        assert self._tasks is not None, "run comes first"
        for gone in set(self._channels) - set(proxies):
            self._channels.pop(gone).cancel()
        for proxy in proxies:
            if proxy not in self._channels:
                self._channels[proxy] = self._tasks.create_task(self._keep(proxy))

    async def _keep(self, proxy: Address) -> None:
        """A channel, opened again whenever it ends; the wait grows, and differs between services."""
        failures = 0
        while True:
            since = self._env.clock.monotonic()
            try:
                await self._channel(proxy)
                reason = "it was closed"
            except aiohttp.WSServerHandshakeError as error:
                if error.status == HTTPStatus.CONFLICT:  # the same proxy under another of its names
                    await asyncio.sleep(ANOTHER_WAY_SECONDS)
                    continue
                reason = str(error)
            except (aiohttp.ClientError, OSError, TimeoutError, ProtocolError) as error:
                reason = str(error) or "no answer in time"
            finally:
                self.connected.discard(proxy)
            failures = 0 if self._env.clock.monotonic() - since > WELL_AFTER_SECONDS else failures + 1
            longest = BACK_OFF_SECONDS[min(failures, len(BACK_OFF_SECONDS)) - 1]
            delay = longest * (0.5 + random.random() / 2)  # noqa: S311 # spreads reconnects, keeps no secret
            self._log.warning(
                "no control channel", proxy=str(proxy), error=reason, again_in_seconds=round(delay, 1)
            )
            await asyncio.sleep(delay)

    async def _channel(self, proxy: Address) -> None:
        context = self._credentials().client_context(ALPN)
        limit = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.ws_connect(
                f"https://{proxy}{PATH}",
                ssl=context,
                heartbeat=HEARTBEAT_SECONDS,
                max_msg_size=MAX_MESSAGE,
                headers={VIA: str(proxy)},
            ) as channel,
        ):
            self.connected.add(proxy)
            self._log.info("control channel open", proxy=str(proxy))
            async for message in channel:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return
                self._obey(proxy, message.data)

    def _obey(self, proxy: Address, text: str) -> None:
        assert self._tasks is not None
        match decode(text):
            case Dial(number, is_spare):
                if not is_spare or self._spares < MOST_SPARES:
                    self._tasks.create_task(self._arrive(proxy, number, is_spare=is_spare))
            case Cancel(key, user):
                self._tasks.create_task(self._cancel(key, user))

    async def _cancel(self, key: bytes, user: str | None) -> None:
        with suppress(Exception):  # one client's cancel must not end all sessions
            await self._env.live.cancel(key, user)

    async def _arrive(self, proxy: Address, number: str, *, is_spare: bool) -> None:
        """One session, from the connection back to its end; its failure is its own."""
        try:
            async with self._arrivals:
                sock = await _connect(proxy, number)
            if is_spare and not await self._is_wanted(sock):
                return
            async with self._arrivals:
                line, der = await self._shake_hands(sock)
            try:
                await self._serve(line, der)
            finally:
                line.close()
        except (OSError, ssl.SSLError, TimeoutError, CertificateError) as error:
            self._log.warning("session not taken", proxy=str(proxy), error=str(error) or "timeout")
        except Exception:  # noqa: BLE001 # the outermost loop of the service: a bug ends one session, not all
            self._log.exception("session failed", proxy=str(proxy))

    async def _is_wanted(self, sock: socket.socket) -> bool:
        """Wait with a spare connection until its session begins; False, and it is closed, when none does."""
        if self._spares >= MOST_SPARES:  # several were asked for before the first had come
            sock.close()
            return False
        self._spares += 1
        wanted = False
        try:
            async with asyncio.timeout(SPARE_SECONDS):
                wanted = await first_byte(sock) is not None
        except (TimeoutError, OSError):
            pass
        finally:
            self._spares -= 1
            if not wanted:
                sock.close()
        return wanted

    async def _shake_hands(self, sock: socket.socket) -> tuple[Line, bytes | None]:
        async with asyncio.timeout(CONNECT_SECONDS):
            stream = await accept_tls(sock, self._trusted()[0])
        return Line(None, stream=stream), stream.peer_certificate()

    def _trusted(self) -> tuple[ssl.SSLContext, tuple[x509.Certificate, ...]]:
        """What sessions are accepted with, and who signs for them; made anew when the credentials change."""
        held = self._credentials()
        if self._trust is None or self._trust[0] is not held:
            self._trust = held, held.server_context(), held.user_authorities()
        return self._trust[1:]

    async def _serve(self, line: Line, der: bytes | None) -> None:
        identity = self._gate.admit(der, self._trusted()[1], utc(self._env.clock))
        assert der is not None
        assert identity.route is not None
        protocol = REGISTRY.get(identity.route.protocol)
        if protocol is None:
            raise CertificateError(f"{identity.route.protocol} is not spoken here")
        line.peer = identity.client_address
        with self._settings.session(identity, der, self._env.databases(identity.route.database)):
            await Connection(protocol, self._env).serve(line, Hello(encrypted=True))


async def _connect(proxy: Address, number: str) -> socket.socket:
    async with asyncio.timeout(CONNECT_SECONDS):
        sock = await _dial(proxy)
        try:
            await asyncio.get_running_loop().sock_sendall(sock, preface(number))
        except BaseException:
            sock.close()
            raise
        return sock


async def _dial(proxy: Address) -> socket.socket:
    loop = asyncio.get_running_loop()
    failure: OSError = OSError(f"{proxy.host} has no address")
    for family, kind, proto, _, where in await loop.getaddrinfo(
        proxy.host, proxy.port, type=socket.SOCK_STREAM
    ):
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, proto)
        try:
            keep_alive(sock)
            await loop.sock_connect(sock, where)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure
