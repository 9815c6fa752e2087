"""How database servers greet, where they speak first: a client is told what its own server would have said.

A greeting is learnt at each login, and asked for by a connection of its own where there was none yet. Nothing
is secret in it; drivers choose their first statements by the version.
"""

import asyncio  # noqa: TID251
from dataclasses import dataclass, field

from gateway.model.resource import Database

KEPT_SECONDS = 600.0
FAILED_SECONDS = 15.0  # a server that did not greet is not asked again before


@dataclass(frozen=True, slots=True)
class _Known:
    uri: str
    protocol: str
    said: bytes
    until: float


@dataclass(slots=True)
class Greetings:
    """What is known, by the name of the database."""

    _known: dict[str, _Known] = field(default_factory=dict)

    def learn(self, database: Database, said: bytes) -> None:
        """The server said this just now; nothing at all where it could not be asked."""
        until = asyncio.get_running_loop().time() + (KEPT_SECONDS if said else FAILED_SECONDS)
        self._known[database.name] = _Known(database.uri, database.protocol, said, until)

    def of(self, database: Database) -> bytes | None:
        """What its server said, empty where it could not be asked lately; None where nobody knows."""
        known = self._known.get(database.name)
        if known is None or known.uri != database.uri or known.protocol != database.protocol:
            return None
        return known.said if asyncio.get_running_loop().time() < known.until else None
