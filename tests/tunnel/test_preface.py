"""What opens a connection back, and what the control channel carries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProtocolError
from gateway.tunnel import preface
from gateway.tunnel.preface import Cancel, Dial

NUMBER = "0123456789abcdef" * 2


def test_a_preface_reads_back_and_begins_with_its_own_byte() -> None:
    data = preface.preface(NUMBER)
    assert (len(data), data[0]) == (preface.SIZE, preface.FIRST_BYTE)
    assert preface.FIRST_BYTE not in {0x16, 0x00}  # TLS, and PostgreSQL's start-up
    assert preface.number_of(data) == NUMBER


@pytest.mark.parametrize("place", range(preface.SIZE))
def test_a_preface_with_a_wrong_byte_is_none(place: int) -> None:
    data = bytearray(preface.preface(NUMBER))
    data[place] = ord("!")
    with pytest.raises(ProtocolError):
        preface.number_of(bytes(data))


@pytest.mark.parametrize(
    "message", [Dial(NUMBER), Dial(NUMBER, is_spare=True), Cancel(b"\0\1", None), Cancel(b"", "ada")]
)
def test_messages_read_back(message: preface.Message) -> None:
    assert preface.decode(preface.encode(message)) == message


@given(st.text() | st.sampled_from(['{"dial": "x"}', '{"cancel": "zz", "user": 1}', "[" * 100_000]))
def test_nothing_but_a_protocol_error_comes_of_other_words(text: str) -> None:
    with pytest.raises(ProtocolError):
        preface.decode(text)
