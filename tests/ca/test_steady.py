from datetime import timedelta

import pytest

from gateway.ca.steady import SteadyClock
from gateway.errors import CertificateError
from tests.ca.material import NOW, FakeClock


def test_small_steps_back_are_tolerated() -> None:
    clock = FakeClock()
    steady = SteadyClock(clock)
    assert steady.now() == NOW
    clock.move(timedelta(seconds=-60))
    assert steady.now() == NOW - timedelta(seconds=60)


def test_small_steps_back_do_not_add_up() -> None:
    clock = FakeClock()
    steady = SteadyClock(clock)
    steady.now()
    clock.move(timedelta(seconds=-40))
    steady.now()
    clock.move(timedelta(seconds=-40))
    with pytest.raises(CertificateError, match="moved back by 80 seconds"):
        steady.now()


def test_issuing_goes_on_when_the_clock_has_caught_up() -> None:
    clock = FakeClock()
    steady = SteadyClock(clock)
    steady.now()
    clock.move(timedelta(hours=-1))
    with pytest.raises(CertificateError):
        steady.now()
    clock.move(timedelta(hours=1))
    assert steady.now() == NOW


def test_a_kept_mark_holds_after_a_restart() -> None:
    clock = FakeClock()
    mark = SteadyClock(clock)
    mark.now()
    clock.move(timedelta(minutes=-5))
    with pytest.raises(CertificateError):
        SteadyClock(clock, mark.latest_ns).now()
