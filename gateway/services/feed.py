"""Tells services elsewhere what changed, at once: data, policies, authorities, and who may serve."""

import asyncio  # noqa: TID251
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.auth.elsewhere import Elsewhere
from gateway.ca.keys import Authorities
from gateway.model.identity import Identity
from gateway.policy.sidecar.supervisor import Sidecar

BEAT_SECONDS = 5.0
"""How often a service is asked about again, and told something, when nothing changes."""

Judge: TypeAlias = Callable[[Mapping[str, str]], Awaitable[None]]
"""Takes up who may be given sessions."""


class Feed:
    """Told of each push by the publisher; a follower sends the newest state, never a queue of old ones.

    *proxies* are the addresses of this node's proxy, and of those of other nodes that its file names.
    """

    def __init__(
        self, elsewhere: Elsewhere, authorities: Authorities, sidecar: Sidecar, proxies: Sequence[str]
    ) -> None:
        self._elsewhere = elsewhere
        self._authorities = authorities
        self._sidecar = sidecar
        self._proxies = proxies
        self._data: Mapping[str, Any] = {}
        self._revision = -1
        self._standings: Mapping[str, str] = {}
        self._news = asyncio.Event()
        self.judge: Judge | None = None

    async def tell(self, data: Mapping[str, Any], revision: int) -> None:
        """This data is in force from now on."""
        self._data, self._revision = data, revision
        self._standings = await self._elsewhere.standings()
        if self.judge is not None:
            await self.judge(self._standings)
        self.nudge()

    def nudge(self) -> None:
        """Something else changed: policies, or authorities."""
        self._news.set()
        self._news = asyncio.Event()

    async def follow(self, identity: Identity) -> AsyncIterator[bytes]:
        """Lines of JSON for one service: everything, at once and after each change, and signs of life."""
        while True:
            news = self._news
            await self._elsewhere.standing(identity, "follow")
            yield await self._line(identity)
            while not news.is_set():
                try:
                    async with asyncio.timeout(BEAT_SECONDS):
                        await news.wait()
                except TimeoutError:
                    await self._elsewhere.standing(identity, "follow")
                    yield b"{}\n"

    async def bundle(self, identity: Identity) -> Mapping[str, Any]:
        """The policies in force as a signed bundle, and the key to verify it with.

        A database service gets the secret of hashing masks besides: the same value must look the same through
        all of them.
        """
        await self._elsewhere.standing(identity, "follow")
        salt = {"salt": self._authorities.mask_salt} if identity.service == "db" else {}
        held = self._sidecar.bundle
        key = self._authorities.bundle_key.public_key()
        return {
            "revision": held.revision,
            "number": held.number,
            "bundle": b64encode(await asyncio.to_thread(held.path.read_bytes)).decode("ascii"),
            "key": key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii"),
            **salt,
        }

    async def _line(self, identity: Identity) -> bytes:
        elsewhere = self._elsewhere
        told: dict[str, Any] = {"revision": self._revision, "trust": elsewhere.trust()}
        if identity.service == "proxy":
            told["agents"] = dict(self._standings)
        else:
            mine = set(await elsewhere.databases_of(identity.user))
            known = self._data["databases"]
            told |= {
                "data": {**self._data, "databases": {name: known[name] for name in mine if name in known}},
                "bundle": self._sidecar.bundle.revision,
                "proxies": [*self._proxies, *await elsewhere.proxies()],
            }
        return json.dumps(told, separators=(",", ":")).encode("ascii") + b"\n"
