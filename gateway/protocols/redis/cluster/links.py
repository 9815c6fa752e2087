"""The connections to nodes, as the router sees them: what was sent on each, and what each answers."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import ProtocolError
from gateway.protocols.redis.cluster.answers import Answer
from gateway.protocols.redis.pubsub import Subscriptions
from gateway.protocols.redis.replies import Part, Reply, ReplyReader
from gateway.sansio.spread import Node

MAX_WHOLE: Final = 64 << 20  # bytes of an answer that must be there as a whole before it is passed


@dataclass(slots=True, eq=False)
class Ask:
    """Something that was sent to a node, which owes the answer to it."""

    answer: Answer | None = None  # None: nobody waits for it
    name: str = ""
    channels: int = -1  # of a command that begins or ends subscriptions; -1: it is none
    frames: int = 0  # confirmations that are missing; 0: not known yet
    index: int = 0  # among the nodes that are asked the same
    is_about_nodes: bool = False


@dataclass(slots=True, eq=False)
class Link:
    """One node's connection."""

    node: Node
    reader: ReplyReader = field(default_factory=ReplyReader)
    sent: deque[Ask] = field(default_factory=deque)
    subscriptions: Subscriptions = field(default_factory=Subscriptions)
    last: Answer | None = None  # the latest that this node answered
    kept: int = 0
    _whole: list[bytes] = field(default_factory=list)
    _size: int = 0
    _is_passing: bool = False

    def take(self, part: Part, *, is_resp3: bool) -> tuple[Reply, bytes] | None:
        """A whole answer once it is there; None while it is not, and for all that is passed as it comes."""
        if not self._whole and not self._is_passing:
            self._is_passing = self._may_pass(part.data[0], is_resp3=is_resp3)
        if self._is_passing:
            self._is_passing = part.reply is None
            return None
        self._whole.append(part.data)
        self._size += len(part.data)
        if self._size > MAX_WHOLE:
            raise ProtocolError("a node's answer is too large to be put together with others")
        if part.reply is None:
            return None
        data = b"".join(self._whole)
        self._whole, self._size = [], 0
        return part.reply, data

    @property
    def is_between(self) -> bool:
        """True unless an answer has begun that must be there as a whole."""
        return not self._whole

    def _may_pass(self, kind: int, *, is_resp3: bool) -> bool:
        if kind in b">-!" or not self.sent:
            return False
        ask = self.sent[0]
        if kind == 0x2A and not is_resp3 and (self.subscriptions.total or ask.channels >= 0):
            return False
        return ask.answer is not None and ask.answer.parts is None and ask.answer.scan_node < 0
