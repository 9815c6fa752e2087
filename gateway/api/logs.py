"""Taking in the logs of other services: what is held, a checkpoint shown, a batch of records.

The caller is a host certificate; it names the service, and with it the only log that it may ship.
"""

import asyncio  # noqa: TID251
import tempfile
from collections import defaultdict
from collections.abc import Callable
from typing import IO, TypeAlias

from aiohttp import web

from gateway.api.exchange import answer, body
from gateway.audit.depot import Depot, ForkError
from gateway.audit.note import MAX_NOTE_BYTES, Verifier
from gateway.audit.replica import MisplacedError
from gateway.audit.ship import MAX_HEADER, Held, read_header
from gateway.auth.logs import Logs
from gateway.errors import AccessError, ConfigError, ConflictError

MAX_BATCH = 256 * 1024 * 1024
"""Bytes of a batch: 8 MiB and one group of records that were made durable together."""

_IN_MEMORY = 8 * 1024 * 1024
_AT_ONCE = 4  # batches that are checked at the same time; each needs a processor
_RECEIVE_SECONDS = 60.0  # a service waits for its answer no longer than that
_SIGNER = 1024  # characters of a public key with its name

ServiceFromRequest: TypeAlias = Callable[[web.Request], str]
"""The name in the host certificate that TLS brought; an AccessError when there is none."""


class Intake:
    """The three addresses, and whose turn it is: the batches of one service are taken one after another."""

    def __init__(self, depot: Depot, logs: Logs, service: ServiceFromRequest) -> None:
        self._depot = depot
        self._logs = logs
        self._service = service
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def routes(self) -> list[web.RouteDef]:
        """The addresses."""
        return [
            web.get("/v1/log", self._held),
            web.post("/v1/log", self._greet),
            web.post("/v1/log/records", self._take),
        ]

    async def _held(self, request: web.Request) -> web.Response:
        service = self._service(request)
        async with self._turns[service]:
            return _shown(await asyncio.to_thread(self._depot.held, service))

    async def _greet(self, request: web.Request) -> web.Response:
        service = self._service(request)
        given = await body(request)
        signer, epoch = given.text("signer", most=_SIGNER), given.whole("epoch")
        note = given.text("checkpoint", most=MAX_NOTE_BYTES).encode("utf-8", "replace")
        given.finish()
        trusted = await self._logs.meet(service, signer)
        async with self._turns[service]:
            try:
                greeted = await asyncio.to_thread(self._depot.greet, service, trusted, epoch, note)
            except ForkError as error:
                await self._logs.incident(service, error.incident)
                raise AccessError(str(error), code=error.incident.code) from error
            except MisplacedError as error:
                raise ConflictError(str(error)) from error
            if greeted.incident is not None:
                await self._logs.incident(service, greeted.incident)
            return _shown(greeted.held)

    async def _take(self, request: web.Request) -> web.Response:
        service = self._service(request)
        trusted = await self._logs.trusted(service)
        async with self._turns[service]:
            with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
                await receive(request, spool, MAX_BATCH)  # ahead of the slot: who stalls keeps none
                try:
                    async with self._slots:
                        return _shown(await asyncio.to_thread(self._store, service, trusted, spool))
                except ForkError as error:
                    await self._logs.incident(service, error.incident)
                    raise AccessError(str(error), code=error.incident.code) from error
                except MisplacedError as error:
                    raise ConflictError(str(error)) from error

    def _store(self, service: str, trusted: Verifier, batch: IO[bytes]) -> Held:
        batch.seek(0)
        header = read_header(batch.readline(MAX_HEADER + 1))
        return self._depot.take(service, trusted, header, batch)


async def receive(request: web.Request, spool: IO[bytes], most: int) -> None:
    """The body, into *spool*; ConfigError when it is longer than *most* bytes or takes too long."""
    size = 0
    try:
        async with asyncio.timeout(_RECEIVE_SECONDS):
            async for chunk in request.content.iter_any():
                size += len(chunk)
                if size > most:
                    raise ConfigError(f"a batch has at most {most} bytes")
                spool.write(chunk)
    except TimeoutError as error:
        raise ConfigError(f"the batch did not come within {_RECEIVE_SECONDS:g} s") from error


def _shown(held: Held) -> web.Response:
    return answer(held.to_json())
