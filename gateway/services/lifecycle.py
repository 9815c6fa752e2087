"""What the services record about themselves: that they started, under which policy, and that they stopped."""

import asyncio  # noqa: TID251
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import structlog

from gateway.audit.log import AuditLog
from gateway.clock import Clock, new_id
from gateway.errors import AuditError
from gateway.model.event import Event, Kind
from gateway.policy.sidecar.supervisor import Sidecar
from gateway.services import backup
from gateway.services.evidence import InForce

SERVICES = ("auth", "proxy", "db")

_say = structlog.get_logger("regate")


@asynccontextmanager
async def recorded(
    audit: AuditLog, clock: Clock, cluster: str, services: Sequence[str] = SERVICES
) -> AsyncIterator[None]:
    """``service.start`` before the block and ``service.stop`` after it: the first and last of a run.

    Without the first nothing starts; without the last it stops nevertheless.
    """
    fields = {"cluster": cluster, "services": list(services), "version": metadata.version("regate")}
    await record(audit, clock, Kind.SERVICE_START, fields)
    try:
        yield
    finally:
        try:
            await record(audit, clock, Kind.SERVICE_STOP, fields)
        except AuditError as error:
            _say.warning("the stop could not be recorded", error=str(error))


async def policy_in_force(audit: AuditLog, clock: Clock, sidecar: Sidecar, in_force: InForce) -> None:
    """Keep and record the policy that decides from now on, and the data it began with."""
    revisions = sidecar.client.revisions
    content = await asyncio.to_thread(sidecar.bundle.path.read_bytes)
    fields = {
        "policy_revision": revisions.policy,
        "policy_digest": await in_force.policy(revisions.policy, content),
        "data_revision": revisions.data,
    }
    await record(audit, clock, Kind.POLICY_LOAD, fields)


async def record_all(audit: AuditLog, clock: Clock, events: Sequence[tuple[Kind, Mapping[str, Any]]]) -> None:
    """Several events, durable together when this returns."""
    now = clock.now_ns()
    if events:
        await audit.append([Event(kind, new_id(now), now, fields) for kind, fields in events])


async def record(audit: AuditLog, clock: Clock, kind: Kind, fields: Mapping[str, Any]) -> None:
    """One event, durable when this returns."""
    now = clock.now_ns()
    await audit.append([Event(kind, new_id(now), now, fields)])


async def restored(audit: AuditLog, clock: Clock, data_dir: Path) -> None:
    """Record, once, that the state was put back from a backup; nothing starts without that record."""
    found = backup.marker(data_dir)
    if found is not None:
        await record(audit, clock, Kind.STATE_RESTORE, found)
        (data_dir / backup.MARKER).unlink()
