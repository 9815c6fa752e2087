"""Which session process gets a connection, and what is told with it."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest

from gateway.services import doors
from gateway.services.doors import Arrival

ARRIVAL = Arrival("[::1]:50000", "mysql", "db.example.com:3306")


@dataclass(slots=True, eq=False)
class Worker:
    """One with *load* sessions; ``entry`` is its end of the door."""

    door: socket.socket
    entry: socket.socket
    load: int

    def taken(self) -> Arrival | None:
        """What came in, if anything did; its socket is closed."""
        try:
            data, (descriptor,), _, _ = socket.recv_fds(self.entry, doors.MOST_BYTES, 1)
        except BlockingIOError:
            return None
        socket.socket(fileno=descriptor).close()
        return Arrival.decode(data)


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    with ExitStack() as stack:
        made = []
        for load in (2, 0, 1):
            door, entry = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            for end in (door, entry):
                end.setblocking(False)
                stack.enter_context(end)
            made.append(Worker(door, entry, load))
        yield made


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket() as made:
        yield made


def fill(worker: Worker) -> None:
    """It takes nothing out any more."""
    with suppress(BlockingIOError):
        while True:
            worker.door.send(b"another")


@pytest.mark.parametrize("arrival", [ARRIVAL, Arrival("127.0.0.1:1")])
def test_what_is_told_is_read_back(arrival: Arrival) -> None:
    assert Arrival.decode(arrival.encode()) == arrival


def test_the_least_busy_one_gets_it(workers: list[Worker], client: socket.socket) -> None:
    assert doors.to_any(workers, client, ARRIVAL)
    assert [worker.taken() for worker in workers] == [None, ARRIVAL, None]


def test_one_that_ended_or_does_not_keep_up_is_passed_over(
    workers: list[Worker], client: socket.socket
) -> None:
    fill(workers[1])
    workers[2].entry.close()
    assert doors.to_any(workers, client, ARRIVAL)
    assert workers[0].taken() == ARRIVAL
    workers[0].entry.close()
    assert not doors.to_any(workers, client, ARRIVAL)
    assert not doors.to_any([], client, ARRIVAL)


def test_what_stays_together_goes_where_it_went(workers: list[Worker], client: socket.socket) -> None:
    home = doors.to_one(workers, None, client, ARRIVAL)
    assert home is workers[1]
    home.load = 10
    assert doors.to_one(workers, home, client, ARRIVAL) is home
    assert [worker.taken() for worker in (home, home, home)] == [ARRIVAL, ARRIVAL, None]


def test_a_home_that_does_not_keep_up_stays_one_and_nobody_else_gets_it(
    workers: list[Worker], client: socket.socket
) -> None:
    fill(workers[1])
    assert doors.to_one(workers, workers[1], client, ARRIVAL) is workers[1]
    assert (workers[0].taken(), workers[2].taken()) == (None, None)


def test_a_home_that_ended_is_no_more(workers: list[Worker], client: socket.socket) -> None:
    workers[1].entry.close()
    assert doors.to_one(workers, workers[1], client, ARRIVAL) is None, "it is still on the list"
    assert doors.to_one(workers, None, client, ARRIVAL) is workers[2]
    gone = workers.pop()
    assert doors.to_one(workers, gone, client, ARRIVAL) is workers[0]
    assert doors.to_one([], gone, client, ARRIVAL) is None
