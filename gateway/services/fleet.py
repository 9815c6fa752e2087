"""Session processes behind the one port: started, fed, given sockets, and started again when one ends.

The main process keeps what there is one of: the port, the keys, the log, the policy engine, the counts. A
worker that ends takes its own sessions with it and nobody else's; the log gets their ends.
"""

import asyncio  # noqa: TID251
import os
import socket
import sys
import typing
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from gateway.ca.profile import Kind
from gateway.ca.sign import MintedCertificate
from gateway.errors import ConfigError
from gateway.model.decision import Denied
from gateway.observe.merged import merged
from gateway.protocols import REGISTRY
from gateway.sansio import hello
from gateway.sansio.protocol import Protocol
from gateway.services import doors
from gateway.services.cluster import Cluster
from gateway.services.doors import Arrival
from gateway.session.minted import material
from gateway.transport.listener import TLS_RECORD, HandOver
from gateway.workers.channel import Channel, ChannelError
from gateway.workers.desk import Desk, unknown_database
from gateway.workers.registry import certificate_value

START_SECONDS = 60.0
ANSWER_SECONDS = 5.0
POLICY_SECONDS = 0.05  # how soon a worker hears that the policy engine moved
METRICS_SECONDS = 2.0
_BACK_OFF_SECONDS = (0.1, 0.5, 1.0, 5.0)
_WELL_AFTER_SECONDS = 30.0


class Serving(typing.Protocol):
    """The certificate that the port shows."""

    minted: MintedCertificate


@dataclass(slots=True, eq=False)
class Worker:
    """One process that serves sessions."""

    number: int
    process: asyncio.subprocess.Process
    channel: Channel
    door: socket.socket
    desk: Desk
    metrics: str = ""

    @property
    def load(self) -> int:
        """Its sessions."""
        return self.desk.sessions


class Fleet:
    """All workers; ``hand_over`` is the listener's way to them."""

    def __init__(self, running: Cluster, certificate: Serving, workers: int) -> None:
        """With fewer than two workers the main process serves sessions by itself."""
        self._running = running
        self._certificate = certificate
        self._size = workers if workers > 1 else 0
        self._workers: dict[int, Worker] = {}
        self._homes: dict[str, Worker | None] = {}  # of the protocols that stay together
        self._by_alpn = {name: protocol for protocol in REGISTRY.values() for name in protocol.alpn}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Fleet"]:
        """Workers run for the length of the block; when it ends their sessions are over."""
        running = self._running
        if not self._size:
            yield self
            return
        started = [asyncio.Event() for _ in range(self._size)]
        async with asyncio.TaskGroup() as tasks:
            keeping = [
                tasks.create_task(self._keep(number, event)) for number, event in enumerate(started, 1)
            ]
            keeping += [tasks.create_task(self._watch_policy()), tasks.create_task(self._watch_metrics())]
            try:
                async with asyncio.timeout(START_SECONDS):
                    for event in started:
                        await event.wait()
            except TimeoutError:
                raise ConfigError(
                    f"a worker process did not start within {START_SECONDS:g} s",
                    hint="see its messages above, or set db_service.workers to 1",
                ) from None
            running.environment.live.elsewhere = self.cancel
            running.publisher.followers.append(self)
            running.environment.metrics.others = self._others
            running.authorities.on_change(self._trust_changed)
            try:
                yield self
            finally:
                running.publisher.followers.remove(self)
                for task in keeping:
                    task.cancel()

    # -- what the listener asks

    def hand_over(self, sock: socket.socket, peer: str, first: int | None) -> bool:
        """Give a database client's connection to a worker; False: serve it here."""
        offered: tuple[str, ...] = ()
        if first == TLS_RECORD:
            offered = hello.alpn(sock.recv(hello.PEEK, socket.MSG_PEEK)) or ()
            if not offered or not self._by_alpn.keys() >= set(offered):
                return False
        return self._give(sock, Arrival(peer), {self._by_alpn[name].name for name in offered})

    def at_port_of(self, protocol: Protocol, public: str) -> HandOver:
        """The same for a port that is one protocol's alone, which clients reach as *public*."""

        def hand_over(sock: socket.socket, peer: str, first: int | None) -> bool:
            del first
            return self._give(sock, Arrival(peer, protocol.name, public), {protocol.name})

        return hand_over

    # -- what the publisher asks

    def take(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """These databases are enrolled now."""
        self._tell("databases", list(documents))

    async def rejudge(self) -> int:
        """Ask again whether each session may be open; returns how many questions nobody answered."""
        return sum(await self._ask_all("rejudge", None))

    # -- what sessions and the service ask

    async def cancel(self, key: bytes, user: str | None) -> bool:
        """Cancel what runs under *key*, whichever worker has it."""
        return any(await self._ask_all("cancel", [key.hex(), user]))

    async def end_all(self, denial: Denied) -> None:
        """Tell every session why it ends; returns when all are over."""
        reason = denial.reasons[0]
        await self._ask_all("end_all", [denial.decision_id, reason.code, reason.message], seconds=None)

    # -- own

    def _give(self, sock: socket.socket, arrival: Arrival, spoken: set[str]) -> bool:
        if not self._size or self._running.databases.has_elsewhere:
            return False  # only this process is connected to the services elsewhere
        together = [name for name in sorted(spoken) if REGISTRY[name].stays_together]
        if not together:
            return doors.to_any(self._workers.values(), sock, arrival)
        name = together[0]
        home = doors.to_one(self._workers.values(), self._homes.get(name), sock, arrival)
        self._homes[name] = home
        return True  # or it is closed: this process would be one more that knows a part

    async def _ask_all(self, kind: str, value: Any, seconds: float | None = ANSWER_SECONDS) -> list[Any]:
        """The answers of those that answer; who does not is about to end, and its sessions with it."""

        async def ask(worker: Worker) -> Any:
            try:
                async with asyncio.timeout(seconds):
                    return await worker.channel.ask(kind, value)
            except (ChannelError, TimeoutError):
                return 0

        return await asyncio.gather(*[ask(worker) for worker in self._workers.values()])

    def _tell(self, kind: str, value: Any) -> None:
        for worker in self._workers.values():
            worker.channel.send(kind, value)

    async def _keep(self, number: int, started: asyncio.Event) -> None:
        """Run worker *number*, again and again."""
        failures = 0
        while True:
            begun = self._running.clock.monotonic()
            worker = await self._start(number)
            try:
                await worker.channel.ask("start", self._settings())
                self._workers[number] = worker
                worker.channel.send("databases", list(self._running.databases.documents))
                started.set()
                await worker.channel.closed
                self._running.log.error("a worker ended", worker=number, sessions=worker.desk.sessions)
            except ChannelError as error:
                self._running.log.warning("a worker did not start", worker=number, error=str(error))
            finally:
                self._workers.pop(number, None)
                worker.desk.forget()
                worker.door.close()
                worker.channel.close()
                await _end(worker.process)
            failures = 0 if self._running.clock.monotonic() - begun > _WELL_AFTER_SECONDS else failures
            await asyncio.sleep(_BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS) - 1)])
            failures += 1

    async def _start(self, number: int) -> Worker:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        door, entry = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        door.setblocking(False)
        with theirs, entry:
            inherited = (theirs.fileno(), entry.fileno())
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway.services.worker", *map(str, inherited),
                pass_fds=inherited, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        environment = self._running.environment
        audit, clock = self._running.audit, self._running.clock
        desk = Desk(audit, environment.live, environment.holds, environment.policy.keeper, self._mint, clock)
        channel = await Channel.over(ours, desk.handlers())
        return Worker(number, process, channel, door, desk)

    def _settings(self) -> dict[str, Any]:
        config = self._running.config
        return {
            "cluster": config.cluster_name,
            "salt": self._running.environment.salt,
            "origin": self._running.estate.origin,
            "texts": [config.texts.mode, config.texts.recipients],
            "deny_addresses": config.db_service.deny_addresses,
            "log": [config.log.severity, config.log.format],
            "policy": self._policy(),
            "listener": self._listener(),
        }

    def _policy(self) -> dict[str, Any]:
        client = self._running.sidecar.client
        place, token = client.place
        return {
            "place": place,
            "token": token,
            "deadline": client.deadline_seconds,
            "available": client.available,
            "revisions": [client.revisions.policy, client.revisions.data],
        }

    def _listener(self) -> dict[str, Any]:
        return {
            "certificate": certificate_value(self._certificate.minted),
            "users": self._running.authorities.trusted_pem(Kind.USER),
        }

    def _trust_changed(self) -> None:
        self._tell("listener", self._listener())

    async def _watch_policy(self) -> None:
        last, heard = None, 0.0
        while True:
            await asyncio.sleep(POLICY_SECONDS)
            renewed = self._running.environment.lease.renewed_at
            if renewed != heard:
                heard = renewed
                self._tell("lease", renewed)
            now = self._policy()
            if now != last:
                last = now
                self._tell("policy", now)

    async def _watch_metrics(self) -> None:
        while True:
            await asyncio.sleep(METRICS_SECONDS)
            for worker in list(self._workers.values()):
                with suppress(ChannelError, TimeoutError):
                    async with asyncio.timeout(ANSWER_SECONDS):
                        worker.metrics = await worker.channel.ask("metrics", None)

    def _others(self, own: bytes) -> bytes:
        """The numbers of all processes as one page."""
        return merged(own.decode(), {str(item.number): item.metrics for item in self._workers.values()})

    async def _mint(self, name: str, db_user: str) -> dict[str, Any]:
        running = self._running
        database = running.databases.get(name)
        if database is None:
            raise unknown_database(name)
        anchor, minted = await asyncio.to_thread(
            material, running.authorities, running.auth.steady, database, db_user
        )
        return {"anchor": anchor, "certificate": certificate_value(minted)}


async def _end(process: asyncio.subprocess.Process) -> None:
    """It ends when its channel does; one that does not is killed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(2.0):
            await process.wait()
            return
    with suppress(ProcessLookupError):
        os.kill(process.pid, 9)
    await process.wait()
