"""A worker's part in what all workers share: counts, cancels, certificates, and the evidence of decisions."""

import asyncio  # noqa: TID251
import ssl
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any

from gateway.ca.sign import MintedCertificate
from gateway.ca.tls import backend_context
from gateway.errors import BackendError
from gateway.model.hold import Answer, Held
from gateway.model.resource import Database
from gateway.session.hold import Holds
from gateway.session.live import Count, Live
from gateway.session.minted import Make
from gateway.workers.channel import Channel, ChannelError

ANSWER_SECONDS = 5.0
_KNOWN = 65_536


class SharedLive(Live):
    """The sessions of one worker; how many there are in all, the main process knows."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel
        self.elsewhere = self._elsewhere

    async def enter(self, user: str, database: str) -> Count:
        """Count a connection that is about to be judged, among those of all processes."""
        self.count(user, database)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return Count(*await self._channel.ask("enter", [user, database]))
        except BaseException:
            super().leave(user, database)  # the main process forgets what a lost worker had
            raise

    def leave(self, user: str, database: str) -> None:
        """Take it back, here and there."""
        super().leave(user, database)
        self._channel.send("leave", [user, database])

    async def may_cancel(self, source: str) -> bool:
        """Count it among those that other workers were asked for."""
        async with asyncio.timeout(ANSWER_SECONDS):
            return bool(await self._channel.ask("may_cancel", source))

    async def _elsewhere(self, key: bytes, user: str | None) -> bool:
        async with asyncio.timeout(ANSWER_SECONDS):
            return bool(await self._channel.ask("cancel", [key.hex(), user]))


class SharedHolds(Holds):
    """Statements of this worker that wait; the main process shows them, and has the answers."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    async def wait(self, held: Held, seconds: float) -> tuple[Answer, str]:
        """The answer, and who gave it, wherever it was given."""
        asked = self._channel.ask("held", [asdict(held), seconds])
        asked.add_done_callback(partial(self._take, held.id))
        try:
            return await super().wait(held, seconds)
        finally:
            self._channel.send("let_go", held.id)

    def _take(self, hold_id: str, asked: "asyncio.Future[Any]") -> None:
        if not asked.cancelled() and asked.exception() is None:  # else the time limit answers
            answer, who = asked.result()
            self.answer(hold_id, Answer(answer), who)


class SharedKeeper:
    """Hands what decisions were made from to the process that keeps it, once for each digest."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._known: dict[str, None] = {}

    def asked(self, digest: str, *parts: bytes) -> None:
        """A question was asked."""
        if digest in self._known:
            return
        if len(self._known) >= _KNOWN:
            del self._known[next(iter(self._known))]
        self._known[digest] = None
        self._channel.send("evidence", [digest, [len(part) for part in parts]], b"".join(parts))


def maker(channel: Channel) -> Make:
    """TLS settings towards databases, from certificates that the main process mints."""

    async def make(database: Database, db_user: str) -> ssl.SSLContext:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                found = await channel.ask("mint", [database.name, db_user])
        except (ChannelError, TimeoutError) as error:
            raise BackendError(f"no certificate for {database.name} could be had: {error}") from error
        return await asyncio.to_thread(_context, found)

    return make


def _context(found: dict[str, Any]) -> ssl.SSLContext:
    return backend_context(found["anchor"], certificate(found["certificate"]))


def certificate(value: dict[str, Any] | None) -> MintedCertificate | None:
    """A certificate from a message."""
    if value is None:
        return None
    expires = value["expires"] and datetime.fromisoformat(value["expires"])
    return MintedCertificate(value["cert_pem"], value["key_pem"], value["serial"], expires)


def certificate_value(minted: MintedCertificate | None) -> dict[str, Any] | None:
    """A certificate as a message carries it."""
    if minted is None:
        return None
    return {
        "cert_pem": minted.cert_pem,
        "key_pem": minted.key_pem,
        "serial": minted.serial,
        "expires": minted.expires and minted.expires.isoformat(),
    }
