"""How fast one user may open connections, whatever others do."""

import pytest

from gateway.session import pace
from gateway.session.live import Live
from gateway.session.pace import Pace


class Seconds:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def admitted(pace: Pace, times: int, user: str = "ann") -> int:
    return sum(pace.admits(user) for _ in range(times))


@pytest.mark.parametrize("per_second", [1, 7, 50, 10_000])
def test_a_second_holds_so_many_at_once_and_no_more(per_second: int) -> None:
    assert admitted(Pace(per_second, Seconds()), 2 * per_second + 5) == per_second


def test_others_are_not_in_the_way() -> None:
    pace = Pace(50, Seconds())
    assert admitted(pace, 60) == 50
    assert admitted(pace, 60, "bob") == 50


def test_who_waits_gets_in_as_often_as_the_limit_says_and_no_more_for_having_knocked() -> None:
    clock = Seconds()
    pace = Pace(50, clock)
    assert admitted(pace, 50) == 50
    total = 0
    for _ in range(1000):  # ten seconds, ten attempts in each hundredth
        clock.now += 0.01
        total += admitted(pace, 10)
    assert total == 500


def test_quiet_saves_nothing_up() -> None:
    clock = Seconds()
    pace = Pace(50, clock)
    for quiet in (1, 60, 86_400):
        assert admitted(pace, 60) == 50
        clock.now += quiet


def test_users_who_are_in_nobodys_way_are_forgotten() -> None:
    clock = Seconds()
    limit = Pace(50, clock)
    for number in range(pace._KEPT):
        limit.admits(f"user-{number}")
    clock.now += 1
    assert admitted(limit, 60) == 50
    assert len(limit._over_at) == 1


def test_every_connection_is_counted_and_the_one_too_many_is_told_so() -> None:
    live = Live(Pace(2, Seconds()))
    counts = [live.count("ann", "db") for _ in range(3)]
    assert [(count.of_user, count.in_pace) for count in counts] == [(1, True), (2, True), (3, False)]
