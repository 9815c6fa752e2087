import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PolicyError
from gateway.policy.http import MAX_HEAD, Response, ResponseReader, request

SIZED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n" + b'{"result": 1}'
CHUNKED = (
    b"HTTP/1.1 500 Internal Server Error\r\ntransfer-encoding: Chunked\r\n\r\n"
    b'7\r\n{"resul\r\n6\r\nt": 1}\r\n0\r\n\r\n'
)
EMPTY = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

CASES = [
    (SIZED, Response(200, b'{"result": 1}', keep=True)),
    (CHUNKED, Response(500, b'{"result": 1}', keep=True)),
    (EMPTY, Response(204, b"", keep=False)),
]

BAD = [
    b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
    b"SSH-2.0-x\r\n\r\n",
    b"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000000000001\r\n",
    b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n folded: x\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore",
    b"HTTP/1.1 200 OK\r\n" + b"x" * MAX_HEAD,
]


@pytest.mark.parametrize(("wire", "response"), CASES)
def test_an_answer_is_read_whole(wire: bytes, response: Response) -> None:
    assert ResponseReader().feed(wire) == response


@pytest.mark.parametrize(("wire", "response"), CASES)
def test_an_answer_is_read_byte_by_byte(wire: bytes, response: Response) -> None:
    reader = ResponseReader()
    for at in range(len(wire) - 1):
        assert reader.feed(wire[at : at + 1]) is None
    assert reader.feed(wire[-1:]) == response


@pytest.mark.parametrize(("wire", "response"), CASES)
def test_an_answer_may_be_cut_anywhere(wire: bytes, response: Response) -> None:
    for cut in range(1, len(wire)):
        reader = ResponseReader()
        assert reader.feed(wire[:cut]) is None
        assert reader.feed(wire[cut:]) == response


@pytest.mark.parametrize(("wire", "response"), CASES)
def test_nothing_may_stand_behind_an_answer(wire: bytes, response: Response) -> None:
    with pytest.raises(PolicyError):
        ResponseReader().feed(wire + b"H")


@pytest.mark.parametrize("wire", BAD)
def test_what_is_no_answer_is_refused(wire: bytes) -> None:
    with pytest.raises(PolicyError):
        ResponseReader().feed(wire)


def test_a_reader_reads_one_answer_after_the_other() -> None:
    reader = ResponseReader()
    for wire, response in CASES:
        assert reader.feed(wire) == response


@given(st.binary(max_size=300), st.integers(0, 80))
def test_nothing_but_a_policy_error_escapes(noise: bytes, keep: int) -> None:
    reader = ResponseReader()
    try:
        reader.feed(SIZED[:keep] + noise)
    except PolicyError:
        return


def test_a_request_carries_its_length_and_the_token() -> None:
    assert request("/v1/x", b"{}", "") == (
        b"POST /v1/x HTTP/1.1\r\nHost: opa\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert b"\r\nAuthorization: Bearer t0ken\r\n" in request("/v1/x", b"{}", "t0ken")
