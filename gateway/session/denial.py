"""Refusals that no policy was asked for: each has an id to be found by, and no revisions."""

from gateway.clock import Clock, new_id
from gateway.model.decision import Denied, Reason


def local_denial(clock: Clock, code: str, message: str) -> Denied:
    """A refusal of now."""
    return Denied(new_id(clock.now_ns()), (Reason(code, message),))
