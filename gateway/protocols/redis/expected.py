"""What was sent to the server and is not answered yet: a command by itself, or a pipeline."""

from dataclasses import dataclass

from gateway.protocols.redis.replies import ERRORS, Reply
from gateway.sansio.exchange import Outcome, Pipeline, Request


@dataclass(slots=True)
class Expected:
    """A command that was sent, and what its answer is to become."""

    name: str
    request: Request | None = None  # None: a substitute
    instead: bytes = b""  # what the client reads in the place of the answer
    channels: int = 0  # that it subscribes to, or ends: 0 ends all of them
    frames: int = 0  # confirmations that are missing, one for each channel; 0: not known yet
    version: bytes = b""  # that HELLO asks for
    passed: int = 0  # bytes of the answer so far

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return 0 if self.request is None else len(self.request.raw)

    def outcome(self, reply: Reply) -> Outcome:
        """How the command ended, if it is no substitute."""
        assert self.request is not None
        if reply.kind in ERRORS:
            return Outcome(self.request, None, reply.size, reply.word.decode("latin-1"))
        return Outcome(self.request, reply.elements, reply.size)


@dataclass(slots=True, eq=False)
class Run:
    """A pipeline that was sent, of which *done* of *count* commands are answered."""

    pipeline: Pipeline
    count: int
    done: int = 0

    @property
    def left(self) -> int:
        """How many are not."""
        return self.count - self.done
