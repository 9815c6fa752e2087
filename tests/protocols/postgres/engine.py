"""A small synchronous engine for tests: it drives a conversation as the session does, over plain sockets."""

import itertools
import select
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.errors import ProtocolError
from gateway.model.decision import Denied, Reason, Revisions
from gateway.model.identity import Route
from gateway.model.resource import Database
from gateway.protocols.postgres import POSTGRES
from gateway.sansio.conversation import Conversation, Repeating
from gateway.sansio.exchange import (
    Facts,
    Housekeeping,
    Outcome,
    Repetition,
    Request,
    Settle,
)
from gateway.sansio.flow import Flow, PeerClosedError, Read, StartTls, Write
from gateway.sansio.protocol import Login, Ready, Startup
from tests.protocols.postgres.facts import facts as facts_of

Judge = Callable[[Request, Facts], bool]
SECONDS = 10.0
T = TypeVar("T")
_numbers = itertools.count(1)


def drive(flow: Flow[T], sock: socket.socket) -> T:
    """Run *flow* over a blocking socket, without TLS."""
    answer = b""
    try:
        action = next(flow)
        while True:
            match action:
                case Read(size):
                    answer = _exactly(sock, size)
                case Write(data):
                    sock.sendall(data)
                    answer = b""
                case StartTls():
                    raise AssertionError("these tests run without TLS")
            action = flow.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise PeerClosedError("the peer closed")
        data += more
    return data


def by_text(request: Request, _facts: Facts) -> bool:
    """The tests' policy: no to whatever says ``denied``, and to what nobody could read."""
    return not any("denied" in statement.text or statement.unreadable for statement in request.statements)


@dataclass
class Engine:
    """One session between a server's socket and whoever calls; everything it saw is kept for the test."""

    backend: socket.socket
    ready: Ready
    conversation: Conversation
    judge: Judge = by_text
    to_client: bytearray = field(default_factory=bytearray)
    to_backend: bytearray = field(default_factory=bytearray)
    requests: list[Request] = field(default_factory=list)
    denials: dict[Request, Denied] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    settles: int = 0
    repeats: bool = True
    repetitions: list[Repetition] = field(default_factory=list)
    deliver: Callable[[bytes], object] | None = None

    def client_sends(self, data: bytes) -> None:
        """As a session does it: what repeats a request takes the short way."""
        conversation = self.conversation
        repeated = conversation.repeat(data) if self.repeats and isinstance(conversation, Repeating) else None
        if repeated is None or not self.judge(repeated.request, repeated.facts):
            self._client_sends(data)
            return
        self.repetitions.append(repeated)
        self.requests.append(repeated.request)
        assert isinstance(conversation, Repeating)
        assert conversation.is_still(repeated)
        out = conversation.admit_again(repeated)
        self.to_backend += out
        self.backend.sendall(out)

    def _client_sends(self, data: bytes) -> None:
        queue: list[Housekeeping | tuple[Request, Facts]] = []
        for item in self.conversation.from_client(data):
            match item:
                case Housekeeping():
                    queue.append(item)
                case Request():
                    facts = tuple(fact for statement in item.statements for fact in facts_of(statement))
                    if len(item.statements) == 1:
                        facts = facts_of(item.statements[0])
                    self.requests.append(item)
                    queue.append((item, facts))
                    if self.conversation.must_settle(item, facts):
                        self._flush(queue)
                        queue = []
                case Settle(raw):
                    self.settles += 1
                    self._flush([*queue, Housekeeping(raw)])
                    queue = []
                    while not self.conversation.is_settled():
                        assert self.backend_sends(), "the server answers nothing to settle on"
        self._flush(queue)

    def _flush(self, queue: Iterable[Housekeeping | tuple[Request, Facts]]) -> None:
        out = b""
        for item in queue:
            if isinstance(item, Housekeeping):
                out += item.raw
                continue
            request, facts = item
            if self.judge(request, facts):
                out += self.conversation.admit(request, facts)
            else:
                number = next(_numbers)
                denial = Denied(f"01TEST{number:020}", (Reason("no", "the test says no"),), Revisions("p", 1))
                self.denials[request] = denial
                refusal = self.conversation.refuse(request, facts, denial)
                out += refusal.to_backend
                self._to_client(refusal.to_client)
        if out:
            self.to_backend += out
            self.backend.sendall(out)

    def backend_sends(self, seconds: float = SECONDS) -> bool:
        """Take one chunk from the server; False when it says nothing in time or has closed."""
        if not select.select([self.backend], [], [], seconds)[0]:
            return False
        try:
            data = self.backend.recv(1 << 16)
        except ConnectionResetError:
            return False
        if not data:
            return False
        relay = self.conversation.from_backend(data)
        self.outcomes += relay.outcomes
        self._to_client(relay.to_client)
        return True

    def _to_client(self, data: bytes) -> None:
        self.to_client += data
        if self.deliver is not None and data:
            self.deliver(data)

    def close(self) -> None:
        self.outcomes += self.conversation.abandon()
        self.backend.close()

    # -- for tests that speak the protocol by hand

    def frames(self) -> list[tuple[str, bytes]]:
        """What the client has got so far, taken off."""
        found, data, at = [], bytes(self.to_client), 0
        while at + 5 <= len(data):
            stop = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
            if stop > len(data):
                break
            found.append((chr(data[at]), data[at + 5 : stop]))
            at = stop
        del self.to_client[:at]
        return found

    def until_ready(self, times: int = 1) -> list[tuple[str, bytes]]:
        """Let the server answer until the client saw ReadyForQuery *times*."""
        found: list[tuple[str, bytes]] = self.frames()
        while sum(kind == "Z" for kind, _ in found) < times:
            assert self.backend_sends(), f"no ReadyForQuery; got {found}"
            found += self.frames()
        return found

    def ask(self, data: bytes, times: int = 1) -> list[tuple[str, bytes]]:
        self.client_sends(data)
        return self.until_ready(times)

    def quiet(self) -> list[tuple[str, bytes]]:
        """What still comes when nothing should."""
        while self.backend_sends(0.05):
            pass
        return self.frames()


def connect(where: tuple[str, int], startup: Startup, route: Route, secret: str | None = None) -> Engine:
    """Log in to the server and stand where a session begins."""
    backend = socket.create_connection(where, timeout=SECONDS)
    backend.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    database = Database("test", "postgres", f"{where[0]}:{where[1]}")
    try:
        ready = drive(POSTGRES.login(Login(startup, route, database, secret)), backend)
    except ProtocolError:
        backend.close()
        raise
    return Engine(backend, ready, POSTGRES.converse(startup, ready, route))
