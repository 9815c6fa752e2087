"""A session process: ``python -m gateway.services.worker CHANNEL DOOR``, started by ``fleet`` alone.

Both are descriptors of unix sockets that were inherited; without them nothing here can be reached. It ends
when the channel closes, so it never outlives the main process.
"""

import asyncio  # noqa: TID251
import gc
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import structlog
import uvloop

from gateway import ranges
from gateway.audit import wording
from gateway.ca.tls import server_context
from gateway.clock import SystemClock
from gateway.model.decision import Denied, Reason, Revisions
from gateway.observe import logs
from gateway.observe.metrics import Metrics
from gateway.policy.client import PolicyClient
from gateway.protocols import REGISTRY
from gateway.sansio.protocol import Protocol
from gateway.services.databases import Databases
from gateway.services.entrances import Entrances
from gateway.services.own_port import greeting
from gateway.session.catalog import Catalogs
from gateway.session.connection import serving
from gateway.session.dial import Dialler
from gateway.session.environment import Environment
from gateway.session.facts import Classifier
from gateway.session.lease import Lease
from gateway.session.minted import Minted
from gateway.texts import Texts
from gateway.workers.channel import Channel, Handler
from gateway.workers.record import RemoteLog
from gateway.workers.registry import SharedHolds, SharedKeeper, SharedLive, certificate, maker

DRAIN_SECONDS = 0.05  # behind the last question at the old socket, which has its deadline
_GENERATIONS = (50_000, 20, 50)


class WorkerProcess:
    """What this process has, once it was told where things are."""

    def __init__(self, door: socket.socket) -> None:
        self._door = door
        self._clock = SystemClock()
        self._databases = Databases()
        self._metrics = Metrics()
        self._stack = AsyncExitStack()
        self._channel: Channel
        self._live: SharedLive
        self._log: RemoteLog
        self._policy: PolicyClient
        self._minted: Minted
        self._entrances: Entrances | None = None
        self._port_context: Any = None

    async def run(self, channel: socket.socket) -> None:
        """Serve until the main process is gone."""
        self._channel = await Channel.over(channel, self._handlers())
        self._live = SharedLive(self._channel)
        self._log = RemoteLog(self._channel, self._clock)
        self._lease = Lease(self._clock)
        async with self._stack:
            sweeping = asyncio.create_task(self._live.sweep_forever())
            await self._channel.closed
            sweeping.cancel()
            if self._entrances is not None:
                self._entrances.close()

    def _handlers(self) -> dict[str, Handler]:
        return {
            "start": self._start,
            "databases": self._take_databases,
            "policy": self._move_policy,
            "lease": self._renew,
            "listener": self._listen,
            "rejudge": self._rejudge,
            "cancel": self._cancel,
            "end_all": self._end_all,
            "metrics": self._render,
        }

    # -- messages

    async def _start(self, value: Any, _blob: bytes) -> None:
        severity, form = value["log"]
        logs.configure(level=severity.lower().replace("warn", "warning"), json=_json(form))
        log = structlog.get_logger("regate").bind()
        policy = value["policy"]
        client = PolicyClient(
            policy["place"], policy["token"],
            clock=self._clock, deadline_seconds=policy["deadline"], metrics=self._metrics,
        )  # fmt: skip
        client.keeper = SharedKeeper(self._channel)
        self._policy = await self._stack.enter_async_context(client)
        await self._move_policy(policy, b"")
        classifier = await self._stack.enter_async_context(Classifier())
        self._minted = Minted(maker(self._channel), self._clock)
        dialler = Dialler(self._minted, ranges.parse(tuple(value["deny_addresses"])))
        environment = Environment(
            cluster=value["cluster"],
            clock=self._clock,
            policy=client,
            audit=self._log,
            dialler=dialler,
            databases=self._databases.get,
            live=self._live,
            lease=self._lease,
            classifier=classifier,
            catalogs=Catalogs(dialler, self._clock),
            metrics=self._metrics,
            log=log,
            salt=value["salt"],
            wording=wording.of(Texts(*value["texts"]), value["salt"], value["origin"]),
            holds=SharedHolds(self._channel),
        )
        await self._listen(value["listener"], b"")

        async def greet(protocol: Protocol) -> bytes:
            return await greeting(protocol, self._databases.all(), dialler)

        self._entrances = Entrances(self._door, serving(environment), lambda: self._port_context, greet, log)
        self._entrances.open()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GENERATIONS)

    async def _take_databases(self, value: Any, _blob: bytes) -> None:
        self._databases.take(value)

    async def _move_policy(self, value: Mapping[str, Any], _blob: bytes) -> None:
        client = self._policy
        if client.place[0] != value["place"]:
            old = client.move_to(value["place"])
            asyncio.get_running_loop().call_later(client.deadline_seconds + DRAIN_SECONDS, old.close)
        client.revisions = Revisions(*value["revisions"])
        client.available = value["available"]

    async def _renew(self, value: Any, _blob: bytes) -> None:
        self._lease.renewed_at = value  # both processes read one monotonic clock

    async def _listen(self, value: Mapping[str, Any], _blob: bytes) -> None:
        minted = certificate(value["certificate"])
        assert minted is not None
        alpn = [name for protocol in REGISTRY.values() for name in protocol.alpn]
        self._port_context = await asyncio.to_thread(server_context, minted, value["users"], alpn=alpn)
        self._minted.forget()

    async def _rejudge(self, _value: Any, _blob: bytes) -> int:
        return await self._live.rejudge(self._policy)

    async def _cancel(self, value: Any, _blob: bytes) -> bool:
        key, user = value
        return await self._live.cancel_here(bytes.fromhex(key), user)

    async def _end_all(self, value: Any, _blob: bytes) -> None:
        decision_id, code, message = value
        await self._live.end_all(Denied(decision_id, (Reason(code, message),)))
        await asyncio.sleep(0)  # their last records are made right after
        self._log.flush()

    async def _render(self, _value: Any, _blob: bytes) -> str:
        return self._metrics.render().decode()


def _json(form: str) -> bool | None:
    return {"json": True, "text": False}.get(form)


def main() -> None:
    """Run on the two descriptors of the command line."""
    channel, door = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    for sock in (channel, door):
        sock.setblocking(False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the main process says when it is over
    uvloop.run(WorkerProcess(door).run(channel))


if __name__ == "__main__":
    main()
