"""Keeps the evidence of decisions: once for each digest, by a thread, after the question went out.

Nobody waits for it: a decision stands in the log whether or not its input is kept yet. A kill loses what came
in the last few milliseconds; the records then stand, and cannot be proved unless the same question is asked
again. A disk that takes nothing is tried again every second.
"""

import queue
import threading
import typing
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.clock import Clock
from gateway.errors import PolicyError
from gateway.policy import document, evidence
from gateway.policy.evidence import Content, Evidence, Kind, Revision

_KNOWN = 65_536  # digests remembered as kept; one that was forgotten is written again, to no effect
_MOST_WAITING = 64 * 1024 * 1024  # bytes; beyond, inputs are let go and counted
_LINGER_SECONDS = 0.02  # so that what comes close together shares a transaction
_AGAIN_SECONDS = 1.0
_CLOSE_SECONDS = 5.0

_say = structlog.get_logger("regate.policy")


@dataclass(frozen=True, slots=True)
class _Asked:
    digest: str
    body: bytes


_Item: typing.TypeAlias = _Asked | Content | Revision


class Keeper:
    """Hands what decisions are made from to ``Evidence``, in its own thread; ``close`` writes the rest."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.lost = 0
        self._clock = clock
        self._folder = folder
        self._known: dict[str, None] = {}
        self._put = self._written = (
            0  # bytes of questions; the one is counted by the loop, the other by the thread
        )
        self._inbox: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evidence keeper", daemon=True)
        self._thread.start()

    def asked(self, digest: str, *parts: bytes) -> None:
        """A question was asked: *parts* are a query's session and facts, or a connect's whole input."""
        if digest in self._known:
            return
        whole = b'{"session":%b,"statements":%b}' % parts if len(parts) > 1 else parts[0]
        if self._put - self._written + len(whole) > _MOST_WAITING:
            self.lost += 1
            return
        if len(self._known) >= _KNOWN:
            del self._known[next(iter(self._known))]
        self._known[digest] = None
        self._put += len(whole)
        self._inbox.put(_Asked(digest, whole))

    def in_force(self, kind: Kind, revision: str, content: bytes) -> str:
        """From now on decisions come from this revision; the digest of *content*. For any thread."""
        digest = document.digest(content)
        self._inbox.put(Content(digest, content))
        self._inbox.put(Revision(kind, revision, digest, self._clock.now_ns()))
        return digest

    def close(self) -> None:
        """Write what waits; a disk that hangs is given five seconds."""
        self._ends.set()
        self._inbox.put(None)
        self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():
            _say.error("evidence of decisions is lost: its disk does not answer")

    # -- the thread

    def _run(self) -> None:
        taken: list[_Item] = []
        file: Evidence | None = None
        failed = ""
        while taken or (first := self._inbox.get()) is not None:
            if not taken and first is not None:
                taken.append(first)
                self._ends.wait(_LINGER_SECONDS)
            self._take_all(taken)
            try:
                file = file or Evidence(self._folder)
                file.write(*_sorted(taken))
            except PolicyError as error:
                if str(error) != failed:
                    failed = str(error)
                    _say.error("evidence of decisions is not kept", error=failed)
                if self._ends.wait(_AGAIN_SECONDS):
                    break
                continue
            failed = ""
            self._written += sum(len(item.body) for item in taken if isinstance(item, _Asked))
            taken.clear()
        if file is not None:
            file.close()

    def _take_all(self, taken: list[_Item]) -> None:
        while not self._inbox.empty():
            item = self._inbox.get()
            if item is None:
                self._inbox.put(None)
                return
            taken.append(item)


def _sorted(items: list[_Item]) -> tuple[list[Content], list[Revision]]:
    contents: list[Content] = []
    revisions: list[Revision] = []
    for item in items:
        match item:
            case _Asked():
                contents.append(evidence.without_secrets(item.digest, item.body))
            case Content():
                contents.append(item)
            case Revision():
                revisions.append(item)
            case other:
                typing.assert_never(other)
    return contents, revisions
