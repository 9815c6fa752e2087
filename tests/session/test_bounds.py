"""Which clock ends a session, and which does not."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.model.decision import Limits
from gateway.session.bounds import Standing, reason_to_end
from tests.ca.material import NOW, login_identity

LATER = NOW + timedelta(minutes=5)
IDENTITY = replace(login_identity(expires=NOW + timedelta(hours=8)), expires=LATER)
OPEN = Standing(IDENTITY, Limits(), is_alone=False, age=10.0, idle=0.0)
BOUND = 1800.0


def code(session: Standing, after: timedelta = timedelta()) -> str:
    reason = reason_to_end(session, NOW + after, BOUND)
    return "" if reason is None else reason.code


@pytest.mark.parametrize(
    ("is_alone", "after", "ends"),
    [
        (False, timedelta(minutes=5), ""),  # the certificate was for opening it; the login goes on
        (True, timedelta(minutes=4), ""),  # nobody answers, and the certificate still stands by itself
        (True, timedelta(minutes=5), "control_plane_unreachable"),
        (True, timedelta(hours=7), "control_plane_unreachable"),
        (False, timedelta(hours=7), ""),
        (False, timedelta(hours=8), "login_expired"),
        (True, timedelta(hours=8), "login_expired"),
    ],
)
def test_in_silence_a_session_lasts_as_long_as_its_certificate(
    *, is_alone: bool, after: timedelta, ends: str
) -> None:
    assert code(replace(OPEN, is_alone=is_alone), after) == ends


def test_the_silence_is_named_with_a_remedy() -> None:
    reason = reason_to_end(replace(OPEN, is_alone=True), LATER, BOUND)
    assert reason is not None
    assert "no word from its control plane" in reason.message
    assert "try again later" in reason.message


@pytest.mark.parametrize(
    ("limits", "age", "idle", "ends"),
    [
        (Limits(), 90_000.0, 0.0, ""),
        (Limits(max_session_seconds=60), 60.0, 0.0, ""),
        (Limits(max_session_seconds=60), 61.0, 0.0, "session_too_long"),
        (Limits(), 10.0, 1800.0, ""),
        (Limits(), 10.0, 1801.0, "idle_timeout"),
        (Limits(idle_seconds=5), 10.0, 6.0, "idle_timeout"),
        (Limits(idle_seconds=9000), 10.0, 1801.0, "idle_timeout"),  # a role shortens, and never lengthens
    ],
)
def test_the_strictest_bound_ends_it(limits: Limits, age: float, idle: float, ends: str) -> None:
    assert code(replace(OPEN, limits=limits, age=age, idle=idle)) == ends
