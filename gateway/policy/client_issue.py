"""Makes a decision of a verdict: gives it an id, counts it, and tells of want of an answer."""

import typing
from collections.abc import Callable

from gateway.clock import Clock, new_id
from gateway.model.decision import Allowed, Decision, Denied, Reason
from gateway.policy import answer
from gateway.policy.answer import Verdict


class PolicyMetrics(typing.Protocol):
    """What the client counts."""

    def decision(self, verdict: str, code: str, seconds: float) -> None:
        """One decision was made, or refused for want of one."""
        ...

    def decision_batch(self, size: int) -> None:
        """So many distinct questions went out together."""
        ...


class Issuer:
    """``alarm``, where there is one, is told of every refusal for want of a usable answer."""

    def __init__(self, clock: Clock, metrics: PolicyMetrics | None) -> None:
        self.alarm: Callable[[Reason], None] | None = None
        self._clock = clock
        self._metrics = metrics

    def issue(self, verdict: Verdict, input_digest: str, started: float) -> Decision:
        """The decision on the question of that digest, which was asked at *started*."""
        decision = verdict.issue(new_id(verdict.time_ns or self._clock.now_ns()), input_digest)
        if (
            verdict.revisions is None
            and self.alarm is not None
            and verdict.reasons[0] is not answer.TOO_LARGE
        ):
            self.alarm(verdict.reasons[0])
        if self._metrics is not None:
            seconds = self._clock.monotonic() - started
            match decision:
                case Allowed():
                    self._metrics.decision("allow", "", seconds)
                case Denied():
                    self._metrics.decision("deny", decision.code, seconds)
                case _:
                    typing.assert_never(decision)
        return decision

    def count_batch(self, size: int) -> None:
        """So many distinct questions go out together."""
        if self._metrics is not None:
            self._metrics.decision_batch(size)
