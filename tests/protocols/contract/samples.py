"""What the contract suite needs from each protocol to try it: bytes of a start, of commands, of answers."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.model.identity import Route
from gateway.protocols.mongodb import messages
from gateway.protocols.redis import resp
from gateway.sansio.protocol import Ready, Startup
from tests.protocols.mongodb import wire as mongo
from tests.protocols.mysql import wire as mysql
from tests.protocols.postgres import wire

CANARY = "canary_4711"


@dataclass(frozen=True, slots=True)
class Sample:
    """One protocol's bytes. ``statement(text)`` is a client's message that asks for *text* at once.

    ``start`` opens a session as user alice on database mydb, inside TLS; ``cancel`` asks to stop one. Both
    are empty where a client says nothing at its start, and cannot cancel.
    ``commands`` is a conversation's client side, all of it admitted; ``answers`` is what a server says to it.
    ``unwelcome`` are messages that no client may send, ``out_of_step`` ones that no server sends unasked.
    """

    start: bytes
    cancel: bytes
    commands: bytes
    answers: bytes
    statement: Callable[[str], bytes]
    unwelcome: tuple[bytes, ...]
    out_of_step: tuple[bytes, ...]
    ready: Ready
    route: Route
    startup: Startup


_POSTGRES_ROW = wire.message("D", b"\0\1\0\0\0\2hi")

_MONGO_HELLO = mongo.message(7, {"hello": 1, "$db": "admin"})


def _mysql(name: str) -> Sample:
    """Each command waits for the answer to the one before, so there is one that has an answer at all."""
    return Sample(
        start=mysql.handshake(),
        cancel=b"",
        commands=mysql.command(0x19, b"\1\0\0\0")
        + mysql.command(0x18, b"\1\0\0\0\0\0value")
        + mysql.query("select 1 as a; select 2"),
        answers=mysql.rows(b"hi", b"\xfe" * 20, status=8 | 2)
        + mysql.rows(b"", first=7, status=8 | 2)
        + mysql.ok(11, affected=3),
        statement=mysql.query,
        unwelcome=(
            mysql.packet(b""),
            mysql.packet(b"\3select 1", 5),
            mysql.packet(b"x" * 0xFFFFFF) + mysql.packet(b"y", 2),
            mysql.command(0x17, b"\1"),
        ),
        out_of_step=(mysql.ok(), mysql.rows(b"a"), b"\1\0\0\1\xfb"),
        ready=Ready("10.11.6-MariaDB", {}, b"backends-own-key", ("mydb",), {"dialect": name}),
        route=Route("my-database", name, "alice", "mydb"),
        startup=Startup(db_user="alice", db_name="mydb"),
    )


SAMPLES: dict[str, Sample] = {
    "mysql": _mysql("mysql"),
    "mariadb": _mysql("mariadb"),
    "mongodb": Sample(
        start=_MONGO_HELLO,
        cancel=b"",
        commands=mongo.message(8, {"find": "orders", "filter": {"a": 1}, "$db": "mydb"})
        + mongo.message(9, {"insert": "orders", "$db": "mydb"}, documents=[{"_id": 1}, {"_id": 2}])
        + mongo.message(10, {"hello": 1, "$db": "admin"})
        + mongo.message(11, {"ping": 1, "$db": "admin"}),
        answers=mongo.message(
            1,
            {"cursor": {"firstBatch": [{"_id": 1, "b": "x"}], "id": 0, "ns": "mydb.orders"}, "ok": 1.0},
            response_to=8,
        )
        + mongo.message(2, {"n": 2, "ok": 1.0}, response_to=9)
        + mongo.message(3, {"ok": 1.0}, response_to=11),
        statement=lambda text: mongo.message(12, {"find": text, "$db": "mydb"}),
        unwelcome=(
            mongo.raw(13, messages.OP_COMPRESSED, b"\xdd\7\0\0\xff\xff\xff\x7f\2"),
            mongo.raw(13, 2002, b"\0\0\0\0a.b\0\5\0\0\0\0"),
            mongo.raw(13, messages.OP_MSG, b"\4\0\0\0\0\5\0\0\0\0"),
            mongo.raw(13, messages.OP_MSG, b"\0\0\0\0\7zzzz"),
            mongo.raw(13, messages.OP_MSG, b"\0\0\0\0\0\x40\0\0\0\0"),
            b"\xff\xff\xff\x7f" + bytes(12),
        ),
        out_of_step=(
            mongo.message(1, {"ok": 1.0}, response_to=99),
            mongo.raw(1, messages.OP_REPLY, bytes(30)),
            b"\1\0\0\0" + bytes(16),
        ),
        ready=Ready("7.0.0", {}, b"backends-own-key", extra={"maxWireVersion": "21", "user": "alice"}),
        route=Route("documents", "mongodb", "alice", "mydb"),
        startup=Startup(parameters={"first": _MONGO_HELLO.decode("latin-1")}),
    ),
    "postgres": Sample(
        start=wire.startup(user="alice", database="mydb", application_name="contract"),
        cancel=wire.cancel(b"\0\0\0\1\0\0\0\2"),
        commands=wire.parse("select $1", "s1")
        + wire.bind("s1", "", (b"1",))
        + wire.describe("P")
        + wire.execute()
        + wire.SYNC
        + wire.query("select 2"),
        answers=wire.message("1")
        + wire.message("2")
        + wire.message("T", b"\0\0")
        + _POSTGRES_ROW * 3
        + wire.message("C", b"SELECT 3\0")
        + wire.message("Z", b"I")
        + wire.message("T", b"\0\0")
        + _POSTGRES_ROW
        + wire.message("C", b"SELECT 1\0")
        + wire.message("Z", b"I"),
        statement=wire.query,
        unwelcome=(
            wire.message("p", b"password\0"),
            wire.message("Z", b"I"),
            wire.message("~"),
            b"Q\0\0\0\3",
            b"Q\x7f\xff\xff\xff",
        ),
        out_of_step=(wire.message("Z", b"I"), wire.message("D", b"\0\0"), wire.message("R", b"\0\0\0\3")),
        ready=Ready("15.1", {"server_version": "15.1"}, b"backends-own-key", ("public",)),
        route=Route("my-database", "postgres", "alice", "mydb"),
        startup=Startup(db_user="alice", db_name="mydb", version=0x30000),
    ),
    "redis": Sample(
        start=b"",
        cancel=b"",
        commands=resp.encode(b"SET", b"k", b"v")
        + resp.encode(b"MULTI")
        + resp.encode(b"LRANGE", b"l", b"0", b"-1")
        + resp.encode(b"EXEC")
        + resp.encode(b"GET", b"none")
        + b"PING\r\n",
        answers=b"+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n$-1\r\n+PONG\r\n",
        statement=lambda text: resp.encode(b"GET", text.encode()),
        unwelcome=(b"*1\r\n:1\r\n", b"*1073741824\r\n", b"GET 'x'\r\n", b"POST / HTTP/1.1\r\n", b"\0\r\n"),
        out_of_step=(b"+OK\r\n", b"$1\r\na\r\n", b"?\r\n"),
        ready=Ready("7.0.15", {}, b"backends-own-key"),
        route=Route("cache", "redis", "alice", "0"),
        startup=Startup(),
    ),
}
