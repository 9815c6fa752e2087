"""Pipelines of plain commands: what is known of each command that a session sent last.

Plain is what is answered by one reply, in its turn, and changes nothing about how commands and replies are
read. Subscriptions, HELLO and what is never forwarded are not; they go the long way.
"""

from dataclasses import dataclass
from typing import Final

from gateway.model.statement import NameContext, Phase, Statement
from gateway.protocols.redis import pubsub, table
from gateway.protocols.redis.commands import DIALECT, classify, is_never
from gateway.protocols.redis.resp import Command
from gateway.sansio.exchange import (
    Facts,
    Pipeline,
    Request,
    Stretch,
)

_KEPT: Final = 128  # commands that a session keeps what is known of
_SHORT: Final = 256  # bytes of such a command
_TURNS: Final = {"multi": True, "exec": False, "discard": False}


@dataclass(slots=True, eq=False)
class RedisPipeline(Pipeline):
    """A pipeline, and whether a transaction is open behind it."""

    leaves_transaction: bool = False


@dataclass(frozen=True, slots=True)
class _Known:
    request: Request
    facts: Facts
    turns: bool | None  # whether a transaction is open behind it; None: as before
    is_plain: bool


class Commands:
    """What is known of the commands that one session sent last, by their bytes."""

    __slots__ = ("_known", "_names", "_opened")

    def __init__(self, names: NameContext, opened: str) -> None:
        """*opened* is as ``is_never`` takes it."""
        self._names = names
        self._opened = opened
        self._known: dict[bytes, _Known] = {}

    def pipeline(
        self, commands: list[tuple[Command, int]], rest: bytes, *, is_in_transaction: bool
    ) -> RedisPipeline | None:
        """All of *commands* as one, each as often as stands beside it; None where one is not plain."""
        stretches: list[Stretch] = []
        total = 0
        for command, times in commands:
            known = self._of(command)
            if not known.is_plain:
                return None
            if known.turns is not None:
                is_in_transaction = known.turns
            stretches.append((known.request, known.facts, times))
            total += times
        raw = b"".join([request.raw * times for request, _, times in stretches])
        return RedisPipeline(raw, rest, stretches, total, leaves_transaction=is_in_transaction)

    def _of(self, command: Command) -> _Known:
        known = self._known.get(command.raw)
        if known is None:
            known = self._look(command)
            if len(command.raw) <= _SHORT:
                if len(self._known) >= _KEPT:
                    del self._known[next(iter(self._known))]
                self._known[command.raw] = known
        return known

    def _look(self, command: Command) -> _Known:
        arguments = command.arguments
        name = table.name_of(arguments)
        statement = Statement("", DIALECT, self._names, arguments=arguments)
        never = is_never(arguments, self._opened)
        is_plain = not (name in pubsub.WORDS or name == "hello" or never)
        turns = _TURNS.get(name) if len(arguments) == 1 else None
        facts = classify(statement) if is_plain else ()
        return _Known(Request(command.raw, Phase.QUERY, (statement,)), facts, turns, is_plain and bool(facts))
