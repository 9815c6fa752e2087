"""Which questions go out together. Pure: it knows no socket and no loop.

Equal questions that wait at the same time are one item. A session whose question broke a batch is asked alone
for a minute, so that it cannot spoil the answers of others again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Waiter = TypeVar("Waiter")

MAX_ITEMS = 16  # 64 take 11 to 17 ms, and all of them wait for the last
MAX_BYTES = 1024 * 1024
ALONE_SECONDS = 60.0
MAX_ALONE = 10_000


@dataclass(slots=True, eq=False)
class Item(Generic[Waiter]):
    """One distinct question and everybody who asked it."""

    session: bytes
    facts: bytes
    deadline: float
    waiters: list[Waiter] = field(default_factory=list)


class Queue(Generic[Waiter]):
    """The questions that wait for a slot, in the order they came."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._waiting: dict[tuple[bytes, bytes], Item[Waiter]] = {}
        self._alone: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, session: bytes, facts: bytes, deadline: float, waiter: Waiter) -> None:
        """Join an equal question that waits already, or the end of the queue."""
        key = (session, facts)
        item = self._waiting.get(key)
        if item is None:
            item = self._waiting[key] = Item(session, facts, deadline)
        item.waiters.append(waiter)

    def take(self) -> list[Item[Waiter]]:
        """The next batch: whatever has waited longest and may go together."""
        taken: list[Item[Waiter]] = []
        size = 0
        for item in self._waiting.values():
            alone = bool(self._alone) and self._is_alone(item.session)
            if taken and alone:
                continue
            taken.append(item)
            size += len(item.session) + len(item.facts)
            if alone or len(taken) >= MAX_ITEMS or size >= MAX_BYTES:
                break
        for item in taken:
            del self._waiting[item.session, item.facts]
        return taken

    def drain(self) -> list[Item[Waiter]]:
        """Everything that waits; nothing waits afterwards."""
        taken = list(self._waiting.values())
        self._waiting.clear()
        return taken

    def isolate(self, session: bytes) -> None:
        """Ask this session's questions alone from now on, for a minute."""
        if len(self._alone) >= MAX_ALONE:
            del self._alone[next(iter(self._alone))]
        self._alone[session] = self._monotonic() + ALONE_SECONDS

    def forgive(self, session: bytes) -> None:
        """Its question was answered alone: it was another that broke the batch."""
        self._alone.pop(session, None)

    def _is_alone(self, session: bytes) -> bool:
        until = self._alone.get(session)
        if until is None:
            return False
        if until > self._monotonic():
            return True
        del self._alone[session]
        return False
