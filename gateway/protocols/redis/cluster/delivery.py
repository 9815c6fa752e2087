"""Answers in the order of the commands, whichever node gives them first, and messages between them."""

from collections import deque

from gateway.protocols.redis.cluster.answers import Answer
from gateway.protocols.redis.cluster.links import Link


class Delivery:
    """What a client is owed, and what of it is ready to go."""

    def __init__(self) -> None:
        self._owed: deque[Answer] = deque()
        self._kept: dict[Answer, dict[Link, int]] = {}  # whose bytes wait in an answer, and how many
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
        self.keep(link, answer, len(data))

    def keep(self, link: Link, answer: Answer, size: int) -> None:
        """So many bytes of *link* wait until it is the turn of *answer*."""
        of = self._kept.setdefault(answer, {})
        of[link] = of.get(link, 0) + size
        link.kept += size

    def waits_for(self, link: Link) -> bool:
        """True when the answer whose turn it is comes from *link*: then it must be read, whatever is kept."""
        return bool(self._owed) and any(ask.answer is self._owed[0] for ask in link.sent)

    def message(self, link: Link, data: bytes) -> None:
        """A message goes behind what its node has answered before, and never into the middle of an answer."""
        last = link.last
        if last is not None and not last.is_passed:
            last.trailer.append(data)
            self.keep(link, last, len(data))
        elif self._owed and self._owed[0].has_begun:
            self._owed[0].trailer.append(data)
            self.keep(link, self._owed[0], len(data))
        else:
            self._out.append(data)

    def pass_on(self) -> None:
        """Let go what is whole, and what there is of the answer whose turn it is."""
        while self._owed:
            head = self._owed[0]
            if head.out:
                self._out += head.out
                head.out, head.has_begun = [], True
                if not head.trailer:
                    self._release(head)
            if not head.is_done:
                return
            self._out += head.trailer
            self._release(head)
            head.is_passed = True
            self._owed.popleft()

    def take(self) -> bytes:
        """All that may go to the client now."""
        data = b"".join(self._out)
        self._out = []
        return data

    def _release(self, answer: Answer) -> None:
        for link, size in self._kept.pop(answer, {}).items():
            link.kept -= size
