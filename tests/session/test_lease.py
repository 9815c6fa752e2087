from datetime import timedelta

from gateway.session.lease import SILENCE_SECONDS, Lease
from tests.ca.material import FakeClock


def test_a_minute_of_silence_is_too_long_and_one_word_is_enough() -> None:
    clock = FakeClock()
    lease = Lease(clock)
    clock.move(timedelta(seconds=SILENCE_SECONDS))
    assert not lease.has_lapsed
    clock.move(timedelta(seconds=1))
    assert lease.has_lapsed
    lease.renew()
    assert not lease.has_lapsed
