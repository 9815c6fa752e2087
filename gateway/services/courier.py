"""The log of a service that runs by itself, on its way to the auth service."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import note
from gateway.audit.log_shipper import Metrics, Shipper
from gateway.audit.replica import MisplacedError
from gateway.audit.ship import Held, held_from_json, origin_of
from gateway.audit.source import LogSource
from gateway.clock import Clock
from gateway.errors import ConflictError
from gateway.tunnel.remote import Remote


@dataclass(frozen=True, slots=True)
class RemoteCourier:
    """The way by the API, with the host certificate of the moment."""

    remote: Remote

    async def held(self) -> Held:
        """What the receiver has."""
        return await _held(self.remote.held())

    async def greet(self, signer: str, epoch: int, text: bytes) -> Held:
        """Show the newest checkpoint."""
        return await _held(self.remote.show(signer, epoch, text.decode("utf-8", "replace")))

    async def send(self, body: bytes) -> Held:
        """Hand over a batch."""
        return await _held(self.remote.ship(body))


def shipper(
    remote: Remote,
    directory: Path,
    key: Ed25519PrivateKey,
    clock: Clock,
    metrics: Metrics | None,
    shipped: Callable[[], None] | None = None,
) -> Shipper:
    """Ships the log in *directory*, which *key* signs, as that of the service that *remote* shows.

    *shipped* is called after each batch.
    """
    credentials = remote.credentials
    signer = note.verifier(origin_of(credentials.cluster, credentials.id), key.public_key())
    return Shipper(LogSource(directory), signer, RemoteCourier(remote), clock, metrics, shipped=shipped)


async def _held(answer: Awaitable[Any]) -> Held:
    try:
        return held_from_json(await answer)
    except ConflictError as error:
        raise MisplacedError(str(error)) from error
