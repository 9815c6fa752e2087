"""Which services have a log, and whose key signs it: registered once, at joining or at the first contact.

A registration is a resource that nobody edits. Another key for a log that is registered is refused and
recorded; a service that joins again, with a token, may bring a new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from gateway.audit.depot import Incident
from gateway.audit.note import Verifier, parse_verifier
from gateway.audit.ship import origin_of
from gateway.auth.desk import Desk
from gateway.auth.store import Resource
from gateway.errors import AccessError, ConfigError, NotFoundError
from gateway.model.event import Kind
from gateway.model.identity import Subject

KIND = "log"
_VERSION = "v1"
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Registered:
    """A service's log: every key that ever signed it, the newest last, and since when it is known."""

    service: str
    signers: tuple[str, ...]
    since_ns: int
    has_left: bool = False
    """The service was put out of the cluster; its log stays."""

    @property
    def trusted(self) -> Verifier:
        """The key that signs it now."""
        return parse_verifier(self.signers[-1])


class Logs:
    """The registrations, and the record of what is wrong with a log."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._known: dict[str, Registered] = {}
        self._told: set[bytes] = set()

    async def register(self, service: str, signer: str) -> Registered:
        """A service that proved with a token that it may join brings the key of its log."""
        self._check(service, signer)
        return await self._write(service, signer, may_replace=True)

    async def meet(self, service: str, signer: str) -> Verifier:
        """The key of a log that is shown with its *signer*; the first one is kept, another one refused."""
        self._check(service, signer)
        await self._standing(service)
        known = self._known.get(service)
        if known is None or known.signers[-1] != signer:  # it may have joined, or joined again, elsewhere
            known = await self._write(service, signer, may_replace=False)
        if known.signers[-1] != signer:
            message = "the log is shown with another key than the one that is registered"
            await self.incident(service, Incident("log_key_changed", message, 0, (signer,)))
            hint = "let the service join again with a new token if its disk was replaced"
            raise AccessError(message, code="log_key_changed", hint=hint)
        return known.trusted

    async def trusted(self, service: str) -> Verifier:
        """The key of a log that was shown before."""
        await self._standing(service)
        known = self._known.get(service) or await self.find(service)
        if known is None:
            raise NotFoundError(f"no log of {service!r} is registered")
        return known.trusted

    async def find(self, service: str) -> Registered | None:
        """The registration, from the store."""
        found = await self._desk.store.find(KIND, service)
        if found is None:
            return None
        self._known[service] = _registered(found.document)
        return self._known[service]

    async def all(self) -> list[Registered]:
        """Every registration, by name."""
        found = [_registered(item.document) for item in await self._desk.store.list(KIND)]
        async with self._desk.store.agents() as agents:
            here = {agent.id for agent in await agents.all()}
        return [replace(item, has_left=item.service not in here) for item in found]

    async def incident(self, service: str, incident: Incident) -> None:
        """Record what is wrong with a log; the same thing once in the life of this process."""
        content = "\n".join((service, str(incident.epoch), incident.message, *incident.checkpoints))
        digest = sha256(content.encode("utf-8", "replace")).digest()
        if digest in self._told or len(self._told) > _MOST_REMEMBERED:
            return
        fields = {
            "origin": origin_of(self._desk.authorities.cluster, service),
            "epoch": incident.epoch,
            "code": incident.code,
            "message": incident.message,
            "checkpoints": list(incident.checkpoints),
        }
        await self._desk.hooks.record(Kind.AUDIT_FINDING, fields)
        self._told.add(digest)

    async def settle(self, subject: Subject, origin: str, reason: str) -> None:
        """Somebody has looked at what was found about a log until now."""
        await self._desk.record(Kind.AUDIT_SETTLED, subject, origin=origin, reason=reason)

    async def _standing(self, service: str) -> None:
        async with self._desk.store.agents() as agents:
            if await agents.find(service) is None:
                raise AccessError(
                    f"the service {service} is not part of the cluster any more", code="agent_unknown"
                )

    def _check(self, service: str, signer: str) -> None:
        """A service has one log, and it bears its name."""
        wanted = origin_of(self._desk.authorities.cluster, service)
        if parse_verifier(signer).name != wanted:
            raise ConfigError(f"the log of {service!r} must be called {wanted!r}")

    async def _write(self, service: str, signer: str, *, may_replace: bool) -> Registered:
        """The registration as it is now, with *signer* as its newest key where that may be."""
        async with self._desk.store.change() as change:
            found = await change.get(KIND, service)
            known = None if found is None else _registered(found.document)
            if known is None:
                made = Registered(service, (signer,), self._desk.clock.now_ns())
            elif known.signers[-1] == signer or not may_replace:
                self._known[service] = known
                return known
            else:
                made = replace(known, signers=(*known.signers, signer))
            await change.create(Resource(KIND, service, _VERSION, _document(made)), replace=True)
            fields = {"origin": origin_of(self._desk.authorities.cluster, service), "log_key": signer}
            await self._desk.hooks.record(Kind.AUDIT_ORIGIN, fields)
        self._known[service] = made
        return made


def _document(item: Registered) -> dict[str, Any]:
    spec = {"signers": list(item.signers), "since_ns": item.since_ns}
    return {"kind": KIND, "version": _VERSION, "metadata": {"name": item.service}, "spec": spec}


def _registered(document: Mapping[str, Any]) -> Registered:
    spec = document["spec"]
    return Registered(document["metadata"]["name"], tuple(spec["signers"]), int(spec["since_ns"]))
