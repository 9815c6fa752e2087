"""A service that wants to belong to the cluster, and what the token it shows allows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.model.decision import Decision
from gateway.model.resource import Database

SERVICE_TYPES = ("db", "proxy", "bot")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a join token allows, kept with the agent that used it; the policy says what that means.

    ``types`` are the kinds of services. ``labels`` and ``databases`` bound which databases an agent may
    serve; None bounds nothing, and an empty one allows none.
    """

    types: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]] | None = None
    databases: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Joining:
    """What joins, and the databases that it would serve."""

    type: str
    databases: Sequence[Database] = ()


@dataclass(frozen=True, slots=True)
class Admission:
    """The policy's answer. ``databases`` are those that the grant allows, whatever the decision is."""

    decision: Decision
    databases: tuple[str, ...] = ()
