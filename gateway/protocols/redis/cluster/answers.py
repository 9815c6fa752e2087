"""What a client is owed for its commands, and what belongs together in a transaction."""

from dataclasses import dataclass, field
from typing import Final

from gateway.sansio.spread import Node

MAX_REPLAY: Final = 1 << 20  # bytes of a transaction that are kept, to be sent once more to another node
MAX_REPLAYS: Final = 3
MAX_EARLY: Final = 1_000  # commands of a transaction that no node has been told of


@dataclass(slots=True, eq=False)
class Transaction:
    """What came since MULTI. ``log`` is None where it became too much to be sent again."""

    node: Node | None = None  # where it is open
    slot: int | None = None
    is_watched: bool = False
    is_tainted: bool = False  # a command was refused before there was a node that could know
    is_lost: bool = False  # the node is gone
    is_ended: bool = False  # EXEC or DISCARD was sent
    replays: int = 0
    log: "list[tuple[bytes, Answer | None]] | None" = field(default_factory=list)
    size: int = 0

    def note(self, raw: bytes, answer: "Answer | None") -> None:
        """A command of it; *answer* is None where nobody waits for the node's answer."""
        if answer is not None:
            answer.transaction = self
        self.size += len(raw)
        if self.log is not None:
            self.log.append((raw, answer))
        if self.size > MAX_REPLAY and self.node is not None:
            self.log = None

    @property
    def is_full(self) -> bool:
        """True when nothing more may be kept until there is a node that it can be sent to."""
        early = self.node is None and self.log is not None
        return early and (self.size > MAX_REPLAY or len(self.log or ()) >= MAX_EARLY)

    @property
    def may_replay(self) -> bool:
        """True while all of it can be sent once more, and means the same there."""
        return self.log is not None and self.replays < MAX_REPLAYS and not (self.is_lost or self.is_watched)


@dataclass(slots=True, eq=False)
class Answer:
    """What the client is owed for one command, in the order in which it asked."""

    raw: bytes
    name: str
    arguments: tuple[bytes, ...] = ()
    slot: int | None = None
    out: list[bytes] = field(default_factory=list)  # what is there and was not passed yet
    trailer: list[bytes] = field(default_factory=list)  # messages that came behind it
    parts: list[bytes] | None = None  # of several nodes, by their order; None: one node's, passed as it comes
    missing: int = 1
    redirects: int = 0
    scan_node: int = -1
    has_begun: bool = False  # some of it was passed
    is_done: bool = False
    is_passed: bool = False
    transaction: Transaction | None = None

    def finish(self, data: bytes) -> None:
        """*data* is all that was missing of it."""
        self.out.append(data)
        self.is_done = True
