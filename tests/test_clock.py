"""Identifiers: unique, sortable, and never the same in a parent and its child."""

import os

from gateway.clock import SystemClock, new_id, utc


def test_an_id_is_a_ulid() -> None:
    # The first ten characters are the milliseconds; this moment is the specification's own example.
    assert new_id(1_469_922_850_259_000_000).startswith("01ARZ3NDEK")
    assert len(new_id(0)) == 26
    assert set(new_id(SystemClock().now_ns())) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def test_ids_of_later_milliseconds_sort_later() -> None:
    ids = [new_id(moment * 1_000_000) for moment in range(1, 2000)]
    assert ids == sorted(ids)


def test_no_id_comes_twice() -> None:
    assert len({new_id(1) for _ in range(20_000)}) == 20_000


def test_a_forked_child_makes_other_ids_than_its_parent() -> None:
    new_id(1)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, new_id(1).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 26).decode() != new_id(1)
    os.close(reading)
    os.close(writing)


def test_the_wall_clock_is_aware() -> None:
    assert utc(SystemClock()).tzinfo is not None
