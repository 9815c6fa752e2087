"""What may not be part of a transaction: behind it nobody could tell how answers are to be read."""

import pytest

from gateway.model.statement import NameContext
from gateway.protocols.redis import resp
from gateway.protocols.redis.conversation import RedisConversation
from gateway.protocols.redis.errors import SUBSTITUTE
from gateway.sansio.exchange import Request


def _sent(machine: RedisConversation, *words: bytes) -> bytes:
    (request,) = machine.from_client(resp.encode(*words))
    assert isinstance(request, Request)
    return machine.admit(request, ())


@pytest.mark.parametrize("words", [(b"HELLO", b"3"), (b"hello",), (b"SUBSCRIBE", b"n")])
def test_what_changes_how_answers_are_read_stays_outside(words: tuple[bytes, ...]) -> None:
    machine = RedisConversation(NameContext(db_name="0", db_user="u"))
    assert _sent(machine, *words) == resp.encode(*words)
    _sent(machine, b"MULTI")
    assert _sent(machine, *words) == SUBSTITUTE
    _sent(machine, b"EXEC", b"wrong")  # which the server refuses: the transaction goes on
    assert _sent(machine, *words) == SUBSTITUTE
    _sent(machine, b"DISCARD")
    assert _sent(machine, *words) == resp.encode(*words)
