"""The addresses that a service keeps for its next start."""

from pathlib import Path

import pytest

from gateway.address import Address
from gateway.tunnel import ways

GATES = (Address("gate1.example.com", 3080), Address("::1", 443))


def test_what_was_kept_is_there_at_the_next_start(tmp_path: Path) -> None:
    ways.save(tmp_path, GATES)
    assert ways.load(tmp_path) == GATES
    ways.save(tmp_path, ())
    assert ways.load(tmp_path) == ()
    assert [path.name for path in tmp_path.iterdir()] == [ways.FILE]


@pytest.mark.parametrize("held", [None, b"", b"\xff", b"{}", b'["a b", "gate:99999"]', b'"gate:1"'])
def test_a_file_that_says_nothing_leaves_the_address_in_the_configuration(
    tmp_path: Path, held: bytes | None
) -> None:
    if held is not None:
        (tmp_path / ways.FILE).write_bytes(held)
    assert ways.load(tmp_path) == ()


def test_what_is_no_address_is_left_out_and_none_stands_twice() -> None:
    told = ["gate1.example.com:3080", "no address", "gate1.example.com:3080", "[::1]", "gate:70000"]
    assert ways.parsed(told) == list(GATES)
