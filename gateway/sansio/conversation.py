"""The command phase of a protocol as a machine, driven by ``gateway.session``.

The engine's side of the contract, for each chunk that arrives from the client::

    for item in conversation.from_client(chunk):      # lazily: state moves as items are handled
        Housekeeping -> queue its bytes, in order
        Request      -> facts = classify each statement; if conversation.must_settle(request, facts): flush
        Settle       -> flush what is queued, then wait until conversation.is_settled()
        Answered     -> queue its answer, in order: it goes to the client, and nothing to the backend
    flush = judge all queued requests in one question, record each decision durably, then in order
            Allowed -> backend gets conversation.admit(request, facts)
            Denied  -> conversation.refuse(request, facts, denial) says what either side gets

Exactly one of ``admit`` and ``refuse`` is called for each request, in the order of the pipeline.
"""

import typing
from collections.abc import Iterator

from gateway.model.decision import Denied
from gateway.model.statement import Catalog, NameContext
from gateway.sansio.exchange import (
    Duty,
    Facts,
    Item,
    Obliged,
    Outcome,
    Pipeline,
    Refusal,
    Relay,
    Repetition,
    Request,
    Unable,
)


class Conversation(typing.Protocol):
    """The command phase as a machine: bytes in, values out; it raises nothing but ProtocolError."""

    def from_client(self, data: bytes) -> Iterator[Item]:
        """What the client's next bytes hold, lazily."""
        ...

    def must_settle(self, request: Request, facts: Facts) -> bool:
        """True when what follows this request cannot be judged before the backend has answered it."""
        ...

    def is_settled(self) -> bool:
        """True when nothing that changes what names mean is unanswered."""
        ...

    def admit(self, request: Request, facts: Facts) -> bytes:
        """The bytes to forward; from here on the conversation expects their answer."""
        ...

    def refuse(self, request: Request, facts: Facts, denial: Denied) -> Refusal:
        """What both sides get instead."""
        ...

    def oblige(self, request: Request, facts: Facts, duty: Duty) -> Obliged | Unable:
        """How *duty* is done with a request that is neither admitted nor refused yet.

        The ``admit`` that follows does it; where other statements are sent for it, they are judged first.
        """
        ...

    def overdue(self, request: Request, denial: Denied) -> bool:
        """True when *request* runs now, and for too long: its cancellation will be told as *denial*."""
        ...

    def from_backend(self, data: bytes) -> Relay:
        """What the backend's next bytes become."""
        ...

    def names(self) -> NameContext:
        """The context that names stand in now."""
        ...

    def set_catalog(self, catalog: Catalog | None) -> None:
        """The engine read the catalogue (or could not: None)."""
        ...

    def wants_catalog(self) -> bool:
        """True when the catalogue it has is stale: DDL ran, or it never had one."""
        ...

    def abandon(self) -> tuple[Outcome, ...]:
        """The connection is over: every admitted request without an end, as an outcome not known."""
        ...

    def farewell(self, denial: Denied) -> bytes:
        """The native message that ends a live session."""
        ...


@typing.runtime_checkable
class Repeating(Conversation, typing.Protocol):
    """A conversation that knows a request again, so that it can be asked about without being read anew."""

    def repeat(self, data: bytes) -> Repetition | None:
        """What *data* repeats, where nothing is under way; None for whatever else it is. Changes nothing."""
        ...

    def is_still(self, repetition: Repetition) -> bool:
        """True while what ``repeat`` found holds."""
        ...

    def admit_again(self, repetition: Repetition) -> bytes:
        """The bytes to forward; from here on the conversation expects their answer."""
        ...


@typing.runtime_checkable
class Pipelining(Conversation, typing.Protocol):
    """A conversation whose requests come in pipelines, and do not change what those behind them mean."""

    def pipeline(self, data: bytes) -> Pipeline | None:
        """What *data* ends or begins, if it is nothing but plain requests. Changes nothing."""
        ...

    def admit_pipeline(self, pipeline: Pipeline) -> bytes:
        """The bytes to forward; from here on the conversation expects their answers, and has its rest."""
        ...
