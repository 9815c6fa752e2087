"""One session at a PostgreSQL database, in the simple query protocol: as much of a client as a corpus needs.

Rows are read and dropped. Implements the parts "Start-up" and "Simple Query" of
https://www.postgresql.org/docs/current/protocol-flow.html; authentication is the certificate's, in TLS.
"""

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.address import Address
from gateway.cli.failures import UnreachableError
from gateway.clock import Clock
from gateway.errors import AccessError, ProtocolError
from gateway.model.identity import Route
from gateway.protocols.postgres import errors, messages

IDLE: Final = "I"  # the status of a session without a transaction; T is in one, E in one that failed
_CONNECT_SECONDS = 10.0
_AUTHENTICATED = messages.u32(0)
_NO_COPY = messages.frame(messages.COPY_FAIL, messages.text("a corpus has no rows"))
_TERMINATE = messages.frame(messages.TERMINATE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``status`` is the transaction's, empty when the connection ended instead.

    ``error`` holds the fields of the first error by their letter; empty when there was none.
    """

    status: str
    error: Mapping[str, str] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """The SQLSTATE; empty without an error."""
        return self.error.get("C", "")

    @property
    def sentence(self) -> str:
        """The error's message; empty without an error."""
        return self.error.get("M", "")


class Line:
    """The session; *seconds* is how long an answer may take as a whole."""

    def __init__(self, sock: socket.socket, seconds: float, clock: Clock) -> None:
        self._sock = sock
        self._stream = sock.makefile("rb")
        self._seconds = seconds
        self._clock = clock

    def start(self, route: Route) -> None:
        """Log in.

        Raises:
            AccessError: there is no session for this user there.
            TimeoutError: no answer in time.
        """
        wanted = {"user": route.db_user, "database": route.db_name}
        given = {name: value for name, value in wanted.items() if value}
        answer = self._asked(messages.startup_message(messages.VERSION_3_0, given))
        if answer.status != IDLE:
            raise AccessError(
                f"{route.database} opened no session: {answer.sentence or 'the connection ended'}"
            )

    def run(self, text: bytes) -> Answer:
        """What *text* got; a TimeoutError when that took too long, after which the session is of no use."""
        return self._asked(messages.frame(messages.QUERY, text + b"\0"))

    def close(self) -> None:
        """Say goodbye, if anybody listens."""
        try:
            self._sock.settimeout(1)
            self._sock.sendall(_TERMINATE)
        except OSError:
            pass
        finally:
            self._stream.close()
            self._sock.close()

    def _asked(self, data: bytes) -> Answer:
        end = self._clock.monotonic() + self._seconds
        found: dict[str, str] = {}
        try:
            self._sock.settimeout(self._seconds)
            self._sock.sendall(data)
            while True:
                kind, body = self._message(end)
                match kind:
                    case messages.READY_FOR_QUERY:
                        return Answer(body.decode("ascii", "replace"), found)
                    case messages.ERROR_RESPONSE:
                        found = found or errors.fields(body)
                    case messages.COPY_IN_RESPONSE:
                        self._sock.sendall(_NO_COPY)
                    case messages.AUTHENTICATION if body != _AUTHENTICATED:
                        raise ProtocolError("the proxy asks for a password, which a gateway never does")
        except TimeoutError:
            raise
        except (OSError, EOFError):
            return Answer("", found)

    def _message(self, end: float) -> tuple[int, bytes]:
        left = end - self._clock.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        head = self._exactly(5)
        return head[0], self._exactly(messages.length_at(head, 1)[0] - 4)

    def _exactly(self, size: int) -> bytes:
        if size < 0:
            raise ProtocolError("a message is shorter than its length")
        data = self._stream.read(size)
        if len(data) < size:
            raise EOFError
        return data


def dial(proxy: Address, context: ssl.SSLContext, alpn: str, seconds: float, clock: Clock) -> Line:
    """A connection to the proxy in which nothing was said yet.

    Raises:
        UnreachableError: nobody is there, or not who should be.
    """
    try:
        plain = socket.create_connection((proxy.host, proxy.port), timeout=_CONNECT_SECONDS)
        try:
            sock = context.wrap_socket(plain, server_hostname=proxy.host)
        except BaseException:
            plain.close()
            raise
    except ssl.SSLError as error:
        why = (error.reason or str(error)).replace("_", " ").lower()
        raise UnreachableError(f"no TLS with {proxy}: {why}") from error
    except OSError as error:
        raise UnreachableError(f"cannot reach {proxy}: {error.strerror or error}") from error
    if sock.selected_alpn_protocol() != alpn:
        sock.close()
        raise UnreachableError(f"{proxy} does not speak {alpn}")
    return Line(sock, seconds, clock)
