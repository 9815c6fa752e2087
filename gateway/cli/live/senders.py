"""Which protocols' entries can be sent through a live session, and as what."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.cli.live import mongodb, redis
from gateway.cli.live.answer import Sender
from gateway.cli.live.channel import Channel
from gateway.cli.live.mysql import MysqlSender
from gateway.cli.live.postgres import PostgresSender


def _sent(payload: str | bytes) -> str:
    del payload
    return ""


@dataclass(frozen=True, slots=True)
class Live:
    """One protocol: the kinds of entries that are sent, who sends them, and why a payload is not sent."""

    kinds: tuple[str, ...]
    made: Callable[[Channel], Sender]
    unsent: Callable[[str | bytes], str] = _sent


SENDERS: Final[Mapping[str, Live]] = {
    "postgres": Live(("sql",), PostgresSender),
    "mysql": Live(("sql",), MysqlSender),
    "mariadb": Live(("sql",), MysqlSender),
    "mongodb": Live(("command", "wire"), mongodb.MongodbSender, mongodb.unsent),
    "redis": Live(("command", "wire"), redis.RedisSender, redis.unsent),
}
