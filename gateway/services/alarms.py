"""An event for whoever watches: the policy in force gives no usable answers. At most one a minute of each."""

from gateway.audit.log import AuditLog
from gateway.clock import Clock, new_id
from gateway.errors import AuditError
from gateway.model.decision import Reason
from gateway.model.event import Event, Kind
from gateway.policy.sidecar.supervisor import Sidecar

QUIET_SECONDS = 60.0


class Alarms:
    """Called for each refusal that no policy made; ``policy.alarm`` tells of the first of each kind."""

    def __init__(self, audit: AuditLog, sidecar: Sidecar, clock: Clock) -> None:
        self._audit = audit
        self._sidecar = sidecar
        self._clock = clock
        self._told: dict[tuple[str, str], float] = {}
        self._since: dict[tuple[str, str], int] = {}

    def __call__(self, reason: Reason) -> None:
        """A question was refused for this reason, because nobody answered it as it must be."""
        revision = self._sidecar.bundle.revision
        key, now = (revision, reason.message), self._clock.monotonic()
        self._since[key] = self._since.get(key, 0) + 1
        if now - self._told.get(key, float("-inf")) < QUIET_SECONDS:
            return
        self._told[key] = now
        fields = {
            "policy_revision": revision,
            "data_revision": max(0, self._sidecar.client.revisions.data),
            "reason": reason.code,
            "message": reason.message,
            "refused": self._since.pop(key),
        }
        moment = self._clock.now_ns()
        try:
            self._audit.post(Event(Kind.POLICY_ALARM, new_id(moment), moment, fields))
        except AuditError:
            return  # the log is closed: so is everything else
