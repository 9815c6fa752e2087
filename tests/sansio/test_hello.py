"""What a TLS client offers, from the first bytes that real clients send."""

import ssl
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sansio import hello


def first_bytes(*offered: str) -> bytes:
    """What OpenSSL sends first."""
    context = ssl.create_default_context()
    if offered:
        context.set_alpn_protocols(list(offered))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="proxy.example.com")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    "offered", [(), ("postgresql",), ("http/1.1",), ("regate-postgres", "h2", "x" * 255)]
)
def test_the_offer_is_read_from_a_real_hello(offered: tuple[str, ...]) -> None:
    assert hello.alpn(first_bytes(*offered)) == offered


def test_a_hello_in_several_records_is_put_together() -> None:
    whole = first_bytes("postgresql")
    message = whole[5:]
    parts = [message[:7], message[7:100], message[100:]]
    split = b"".join(whole[:3] + len(part).to_bytes(2) + part for part in parts)
    assert hello.alpn(split) == ("postgresql",)


def test_what_is_not_whole_is_nobodys_offer() -> None:
    whole = first_bytes("postgresql")
    assert all(hello.alpn(whole[:size]) is None for size in range(len(whole)))


@given(st.binary(max_size=400))
def test_no_bytes_break_it(data: bytes) -> None:
    found = hello.alpn(b"\x16\x03\x01" + data)
    assert found is None or isinstance(found, tuple)


WHOLE = first_bytes("postgresql")


@given(st.integers(0, 250), st.binary(min_size=1, max_size=3))
def test_a_damaged_hello_is_read_or_refused(at: int, instead: bytes) -> None:
    whole = bytearray(WHOLE)
    whole[at : at + len(instead)] = instead
    found = hello.alpn(bytes(whole))
    assert found is None or all(isinstance(name, str) for name in found)


def test_how_much_must_be_there_to_tell_more() -> None:
    for whole in (WHOLE, _in_records(WHOLE, 3, 100)):
        at = 1
        while (wanted := hello.wanted(whole[:at])) > at:
            assert wanted <= len(whole), "no more is waited for than comes"
            at = wanted
        assert hello.alpn(whole[:at]) == ("postgresql",)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\xff\xff",  # longer than it is looked at
        b"\x16\x03\x01\0\0",
        b"\x16\x03\x01\0\5\2",  # no ClientHello
        b"\x16\x03\x01\0\1\1\x17\x03\x01\0\1",
        b"\x16\x03\x01\0\1\1" * 100,  # in more records than clients use
    ],
)
def test_nothing_is_waited_for_behind_what_is_no_hello(data: bytes) -> None:
    assert hello.wanted(data) == len(data)


@given(st.binary(max_size=60))
def test_what_is_wanted_is_there_or_bounded(data: bytes) -> None:
    assert len(b"\x16" + data) <= hello.wanted(b"\x16" + data) <= hello.PEEK + 5


def _in_records(whole: bytes, *cuts: int) -> bytes:
    message = whole[5:]
    places = (0, *cuts, len(message))
    parts = [message[begin:end] for begin, end in pairwise(places)]
    return b"".join(whole[:3] + len(part).to_bytes(2) + part for part in parts)
