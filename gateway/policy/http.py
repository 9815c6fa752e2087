"""The little of HTTP/1.1 that is spoken with OPA over its unix socket. Pure.

RFC 9112: a request with a length, an answer with a length or in chunks. Anything else (other framing, folded
headers, interim answers) is refused; there is one peer, and it never sends them.
"""

from dataclasses import dataclass

from gateway.errors import PolicyError

MAX_HEAD = 16 * 1024
MAX_BODY = 64 * 1024 * 1024  # the index of tens of thousands of roles


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int
    body: bytes
    keep: bool  # whether the connection may be used again


def request(path: str, body: bytes, token: str, accept: str = "") -> bytes:
    """A POST as bytes; *accept* is the media type of the answer where there is a choice."""
    wanted = f"Accept: {accept}\r\n" if accept else ""
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: opa\r\n{authorization}{wanted}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


class ResponseReader:
    """Turns the bytes of one answer at a time into a ``Response``."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Response | None:
        """The answer once it is whole.

        Raises:
            PolicyError: the bytes are no answer, or something stands behind it.
        """
        self._buffer = data if not self._buffer else self._buffer + data
        if len(self._buffer) > MAX_HEAD + MAX_BODY:
            raise PolicyError("opa's answer is too long")
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise PolicyError("opa's answer has no end of its head")
            return None
        status, headers = _head(self._buffer[:end])
        found = _body(self._buffer, end + 4, headers)
        if found is None:
            return None
        body, stop = found
        if stop != len(self._buffer):
            raise PolicyError("opa sent more than one answer")
        self._buffer = b""
        return Response(status, body, headers.get(b"connection", b"").lower() != b"close")


def _head(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    first, *lines = head.split(b"\r\n")
    version, _, rest = first.partition(b" ")
    if version != b"HTTP/1.1" or not rest[:3].isdigit() or rest[3:4] not in {b" ", b""} or rest[:1] == b"1":
        raise PolicyError("opa's answer does not start as one")
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        key = name.lower()
        if not colon or not name or name != name.strip() or key in headers:
            raise PolicyError("opa's answer has a header that is none")
        headers[key] = value.strip()
    return int(rest[:3]), headers


def _body(data: bytes, start: int, headers: dict[bytes, bytes]) -> tuple[bytes, int] | None:
    """The body and where it ends; None while it is not whole."""
    length, coding = headers.get(b"content-length"), headers.get(b"transfer-encoding")
    if coding is not None:
        if coding.lower() != b"chunked" or length is not None:
            raise PolicyError("opa's answer is framed in a way that is not spoken here")
        return _chunks(data, start)
    if length is None or not length.isdigit() or len(length) > 9 or int(length) > MAX_BODY:
        raise PolicyError("opa's answer has no usable length")
    stop = start + int(length)
    return (data[start:stop], stop) if len(data) >= stop else None


def _chunks(data: bytes, start: int) -> tuple[bytes, int] | None:
    parts: list[bytes] = []
    at = start
    while True:
        line_end = data.find(b"\r\n", at, at + 18)
        if line_end < 0:
            if len(data) >= at + 18:
                raise PolicyError("a chunk of opa's answer has no size")
            return None
        size = _chunk_size(data[at:line_end])
        stop = line_end + 2 + size
        if len(data) < stop + 2:
            return None
        if data[stop : stop + 2] != b"\r\n":
            raise PolicyError("a chunk of opa's answer has another size than it says")
        if size == 0:
            return b"".join(parts), stop + 2
        parts.append(data[line_end + 2 : stop])
        at = stop + 2


def _chunk_size(text: bytes) -> int:
    if not text or text.strip(b"0123456789abcdefABCDEF"):
        raise PolicyError("a chunk of opa's answer has no size")
    return int(text, 16)
