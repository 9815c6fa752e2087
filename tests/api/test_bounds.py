"""What a stranger's HTTP request may cost before anybody is known."""

import http.client
import json
import re
import socket
import ssl
import zlib
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.api.rig import Rig
from tests.e2e.cluster import eventually

UNPACKED = 96 << 20
ROOM = (
    48 << 20
)  # bytes of memory that a refused request may take for a moment, with all of this process in it


def _connection(rig: Rig) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cadata=rig.host_ca)
    return http.client.HTTPSConnection("localhost", rig.port, context=context, timeout=30)


def _bomb(encoding: str) -> bytes:
    """JSON of many times its size; both encodings that a server of the web reads by itself."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    block = b" " * (1 << 20)
    return b"".join(packer.compress(block) for _ in range(UNPACKED >> 20)) + packer.flush()


def _peak_from_now() -> int:
    """Begin to measure this process's peak anew; the bytes that it has now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) << 10


def test_the_measure_of_memory_sees_what_is_taken() -> None:
    before = _peak_from_now()
    assert len(b" " * UNPACKED) == UNPACKED
    assert _peak() - before > ROOM


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_that_unpacks_to_a_hundred_times_its_size_is_not_unpacked(rig: Rig, encoding: str) -> None:
    bomb = _bomb(encoding)
    before = _peak_from_now()
    connection = _connection(rig)
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    connection.request("POST", "/v1/login", body=bomb, headers=headers)
    response = connection.getresponse()
    assert response.status in {400, 413}
    assert "error" in json.loads(response.read())
    connection.close()
    assert _peak() - before < ROOM


@pytest.mark.parametrize(
    "head", [b"X-Long: " + b"a" * 70_000, b"".join(b"X-%d: a\r\n" % n for n in range(40_000))]
)
def test_a_head_without_end_is_refused_and_the_connection_closed(rig: Rig, head: bytes) -> None:
    context = ssl.create_default_context(cadata=rig.host_ca)
    with (
        socket.create_connection(("localhost", rig.port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as line,
    ):
        received = b""
        try:
            line.sendall(b"GET /v1/ping HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n")
            while chunk := line.recv(65_536):
                received += chunk
        except (ConnectionError, ssl.SSLError):
            pass  # closed while we still wrote
    assert b" 200 " not in received
    assert b" 400 " in received[:20] or not received


def test_a_client_that_leaves_in_the_middle_leaves_no_trace_of_the_program(rig: Rig) -> None:
    """Anybody may do that as often as they like; each would fill a screen of the log."""
    with capture_logs() as said:
        connection = _connection(rig)
        connection.putrequest("POST", "/v1/login")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", "100")
        connection.endheaders(b'{"user"')
        connection.close()
        for _ in eventually("the end is noticed", seconds=30):
            if any(entry.get("route") == "/v1/login" for entry in said):
                break
    assert [(entry["event"], entry["log_level"]) for entry in said] == [("api_client_left", "info")]
    assert all("exc_info" not in entry for entry in said)
