"""What somebody with few rights tries by hand, and what they must read, on one server as on a cluster.

They may read and change keys ``app:*`` and listen to the channel ``news``. Each attempt is one write, and
each expectation the beginning of the reply at that place; ``None`` stands for a closed connection.
"""

import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self, TypeAlias

from gateway.protocols.redis.replies import ReplyReader
from gateway.protocols.redis.resp import encode
from tests.e2e.access import Access

Attempt: TypeAlias = tuple[Sequence[str | bytes], Sequence[bytes | None]]

NO: Final = b"-NOPERM"
SCRIPT: Final = "EVAL \"return redis.call('GET','secret:k')\""

ATTEMPTS: Final[dict[str, Attempt]] = {
    "a refused command among others": (
        ["SET app:a 1", "GET secret:k", "GET app:a", "DEL secret:k", "INCR app:a"],
        [b"+OK", NO, b"$1\r\n1", NO, b":2"],
    ),
    "a transaction with a refused command": (
        ["DEL app:t", "MULTI", "SET app:t 1", "GET secret:k", "EXEC", "GET app:t"],
        [NO, b"+OK", b"+QUEUED", NO, b"-EXECABORT", b"$-1"],
    ),
    "a transaction in a transaction, and its end twice": (
        ["MULTI", "MULTI", "SET app:t2 1", "EXEC", "EXEC", "DISCARD"],
        [b"+OK", b"-ERR", b"+QUEUED", b"*1", b"-ERR", b"-ERR"],
    ),
    "another login": (
        ["AUTH default x", "AUTH x", "HELLO 3 AUTH default x", "ACL WHOAMI"],
        [NO, NO, NO, b"$7\r\ndefault"],
    ),
    "RESET, and what comes behind it": (["RESET", "GET secret:k", "PING"], [NO, NO, b"+PONG"]),
    "another protocol in the middle": (
        ["PING", "HELLO 3", "HGETALL app:none", "GET app:none", "GET secret:k", "HELLO 2", "GET app:none"],
        [b"+PONG", b"%", b"%0", b"_", NO, b"*", b"$-1"],
    ),
    "another protocol inside of a transaction": (
        ["MULTI", "HELLO 3", "GET app:none", "EXEC"],
        [b"+OK", NO, b"+QUEUED", b"-EXECABORT"],
    ),
    "answers that do not come": (
        ["CLIENT REPLY OFF", "GET secret:k", "CLIENT REPLY SKIP", "PING", "CLIENT REPLY ON", "ECHO x"],
        [NO, NO, NO, b"+PONG", NO, b"$1\r\nx"],
    ),
    "to be told which keys others change": (
        ["CLIENT TRACKING ON BCAST PREFIX secret:", "CLIENT TRACKING ON BCAST",
         "CLIENT TRACKING ON REDIRECT 1"],
        [NO, NO, NO],
    ),
    "channels that nobody granted": (
        ["SUBSCRIBE secrets", "PSUBSCRIBE *", "SSUBSCRIBE news:s", "PUBLISH news x", "PING"],
        [NO, NO, NO, NO, b"+PONG"],
    ),
    "commands while messages are awaited": (
        ["SUBSCRIBE news", "GET secret:k", "GET app:none", "UNSUBSCRIBE", "PING"],
        # GET is an error on one server; on a cluster its key may be on a node that awaits nothing.
        [b"*3\r\n$9\r\nsubscribe", NO, b"", b"*3\r\n$11\r\nunsubscribe", b"+PONG"],
    ),
    "a subscription inside of a transaction": (
        ["MULTI", "SUBSCRIBE news", "EXEC", "PING"],
        [b"+OK", NO, b"-EXECABORT", b"+PONG"],
    ),
    "scripts with a declared key of their own": (
        [f"{SCRIPT} 1 app:a", f"{SCRIPT} 0", "EVALSHA 0000000000000000000000000000000000000000 1 app:a",
         "FCALL f 1 app:a", "FUNCTION LIST", "SCRIPT FLUSH"],
        [NO] * 6,
    ),
    "what belongs to a cluster's own nodes": (
        ["ASKING", "GET secret:k", "RESTORE-ASKING app:x 0 x", "REPLCONF ack 0", "PSYNC ? -1", "SYNC"],
        [NO] * 6,
    ),
    "to be taken for the gateway": (
        ["PING", "GATEWAY.ADDRESS evil.example:1", "GATEWAY.DENIED", "PING"],
        [b"+PONG", NO, NO, b"+PONG"],
    ),
    "a key by another way": (
        ["gEt secret:k", "DUMP secret:k", "OBJECT ENCODING secret:k", "MEMORY USAGE secret:k",
         "STRLEN secret:k",
         "TYPE secret:k", "EXISTS secret:k", "TTL secret:k", "TOUCH secret:k", "WATCH secret:k",
         "GETRANGE secret:k 0 -1", "SUBSTR secret:k 0 -1", "BITCOUNT secret:k", "PFCOUNT secret:k"],
        [NO] * 14,
    ),
    "a second key of several": (
        ["MGET app:{a}1 secret:{a}k", "LCS app:{a}1 secret:{a}k", "RENAME secret:{a}k app:{a}2",
         "COPY secret:{a}k app:{a}2", "SUNIONSTORE app:{a}3 secret:{a}k",
         "XREAD STREAMS app:{a}s secret:{a}s 0 0",
         "BITOP NOT app:{a}4 secret:{a}k", "ZUNION 2 app:{a}5 secret:{a}k",
         "LMPOP 2 app:{a}6 secret:{a}k LEFT",
         "GEOSEARCHSTORE app:{a}7 secret:{a}g FROMLONLAT 0 0 BYRADIUS 1 m"],
        [NO] * 10,
    ),
    "keys by a pattern": (
        ["SORT app:l BY secret:*", "SORT app:l GET secret:*", "KEYS *", "SCAN 0", "RANDOMKEY", "DBSIZE"],
        [NO] * 6,
    ),
    "another database": (
        ["SELECT 1", "MOVE app:a 1", "SWAPDB 0 1", "COPY app:a app:b DB 1", "FLUSHALL", "FLUSHDB"],
        [NO] * 6,
    ),
    "the server itself": (
        ["CONFIG GET *", "CONFIG SET dir /tmp", "DEBUG SLEEP 0", "SLAVEOF NO ONE", "REPLICAOF h 1",
         "MODULE LIST",
         "ACL LIST", "ACL SETUSER x", "SHUTDOWN", "MONITOR", "BGSAVE", "CLIENT LIST", "CLIENT KILL ID 1",
         "CLIENT PAUSE 1", "CLIENT NO-EVICT ON", "SLOWLOG GET", "LATENCY RESET", "FAILOVER", "CLUSTER RESET"],
        [NO] * 19,
    ),
    "what is no command at all": (
        ["NOSUCH a b", "GET", "GET app:a app:b", "SET app:a", "CLIENT NOSUCH", b"*1\r\n$0\r\n\r\n"],
        [NO] * 6,
    ),
    "plain lines": ([b"get secret:k\r\n", b"PING\r\n", b"\r\n", b"GET  app:none\n"], [NO, b"+PONG", b"$-1"]),
    "a plain line with quotes": ([b'GET "secret:k"\r\n'], [NO, None]),
    "a length with a zero in front": ([b"*2\r\n$3\r\nGET\r\n$08\r\nsecret:k\r\n"], [NO, None]),
    "a length that nobody has memory for": ([b"*2\r\n$3\r\nGET\r\n$99999999999\r\n"], [NO, None]),
    "more arguments than there can be": ([b"*99999999\r\n"], [NO, None]),
    "an argument that is longer than it says": ([b"*2\r\n$3\r\nGET\r\n$2\r\nsecret:k\r\n"], [NO, None]),
    "a browser that was led here": ([b"POST / HTTP/1.1\r\nHost: x\r\n\r\n"], [NO, None]),
}  # fmt: skip


class Raw:
    """A connection to a plain port, without a driver."""

    def __init__(self, access: Access) -> None:
        self.sock = socket.create_connection((access.host, access.port), timeout=30)
        self._reader = ReplyReader()
        self._whole: list[bytes] = []
        self._part = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def send(self, data: bytes) -> bool:
        """Whether it can still be sent: what is under way when the gateway closes makes the kernel reset."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def _received(self) -> bytes:
        try:
            return self.sock.recv(65_536)
        except ConnectionResetError:  # what had come before was read before
            return b""

    def reply(self) -> bytes | None:
        """The next reply; None when there will be no more."""
        while not self._whole:
            data = self._received()
            if not data:
                return None
            for part in self._reader.feed(data):
                self._part += part.data
                if part.reply is not None:
                    self._whole.append(self._part)
                    self._part = b""
        return self._whole.pop(0)


def words(line: str | bytes) -> bytes:
    """A command as bytes; what is in double quotes is one word."""
    if isinstance(line, bytes):
        return line
    pieces = line.split('"')
    found = [[piece] if at % 2 else piece.split() for at, piece in enumerate(pieces)]
    return encode(*[word.encode() for piece in found for word in piece])


def attempted(
    access: Access, name: str, *, one_by_one: bool
) -> tuple[list[bytes | None], list[bytes | None]]:
    """What was read, and what had to be, cut to what the expectation says."""
    sent, expected = ATTEMPTS[name]
    with Raw(access) as raw:
        raw.sock.sendall(encode(b"PING"))
        assert raw.reply() == b"+PONG\r\n"
        whole = b"".join(map(words, sent))
        for at in range(0, len(whole), 7 if one_by_one else len(whole)):
            if not raw.send(whole[at : at + (7 if one_by_one else len(whole))]):
                break
        read = [raw.reply() for _ in expected]
    pairs = zip(read, expected, strict=True)
    return [said if said is None or want is None else said[: len(want)] for said, want in pairs], list(
        expected
    )
