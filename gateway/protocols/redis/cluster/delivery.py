"""Answers in the order of the commands, whichever node gives them first, and messages between them."""

from collections import deque

from gateway.protocols.redis.cluster.answers import Answer
from gateway.protocols.redis.cluster.links import Link


class Delivery:
    """What a client is owed, and what of it is ready to go."""

    def __init__(self) -> None:
        self._owed: deque[Answer] = deque()
        self._out: list[bytes] = []

    @property
    def is_empty(self) -> bool:
        """True when nothing is owed."""
        return not self._owed

    def owe(self, answer: Answer) -> None:
        """The next answer, behind all that came before."""
        self._owed.append(answer)

    def add(self, link: Link, answer: Answer, data: bytes) -> None:
        """Some of an answer, from the node of *link*."""
        answer.out.append(data)
        if answer.missing == 1 and answer.link in {None, link}:
            answer.link = link
            answer.kept += len(data)
            link.kept += len(data)

    def message(self, link: Link, data: bytes) -> None:
        """A message goes behind what its node has answered before, and never into the middle of an answer."""
        last = link.last
        if last is not None and not last.is_passed:
            last.trailer.append(data)
        elif self._owed and self._owed[0].has_begun:
            self._owed[0].trailer.append(data)
        else:
            self._out.append(data)

    def pass_on(self) -> None:
        """Let go what is whole, and what there is of the answer whose turn it is."""
        while self._owed:
            head = self._owed[0]
            if head.out:
                self._out += head.out
                head.out, head.has_begun = [], True
                if head.link is not None:
                    head.link.kept -= head.kept
                head.kept, head.link = 0, None
            if not head.is_done:
                return
            self._out += head.trailer
            head.is_passed = True
            self._owed.popleft()

    def take(self) -> bytes:
        """All that may go to the client now."""
        data = b"".join(self._out)
        self._out = []
        return data
