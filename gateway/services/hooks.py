"""What the auth service asks of the policy, the log and the databases, where all are in one process."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.audit.log import AuditLog
from gateway.auth.desk import ConnectAttempt, Hooks
from gateway.clock import Clock
from gateway.model.decision import Decision
from gateway.model.event import Kind
from gateway.policy.document import ConnectQuestion
from gateway.policy.sidecar.supervisor import Sidecar
from gateway.protocols import REGISTRY
from gateway.services import lifecycle
from gateway.services.databases import Databases


def hooks(sidecar: Sidecar, audit: AuditLog, databases: Databases, clock: Clock) -> Hooks:
    """What the auth service asks of the policy and the log."""

    async def record(kind: Kind, fields: Mapping[str, Any]) -> None:
        await lifecycle.record(audit, clock, kind, fields)

    async def record_all(events: Sequence[tuple[Kind, Mapping[str, Any]]]) -> None:
        await lifecycle.record_all(audit, clock, events)

    async def may_connect(attempt: ConnectAttempt) -> Decision:
        question = ConnectQuestion(
            identity=attempt.identity,
            database=databases.get(attempt.database.name),
            db_user=attempt.db_user,
            db_name=attempt.db_name,
            client_address=attempt.source,
            session_id="",
            time_ns=clock.now_ns(),
        )
        return await sidecar.client.connect(question)

    return Hooks(
        policy=sidecar.client,
        record=record,
        record_all=record_all,
        may_connect=may_connect,
        protocols=frozenset(REGISTRY),
        find_database=databases.get,
    )
