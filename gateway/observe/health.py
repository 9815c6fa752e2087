"""Whether this process is alive and ready: named checks, each fine or with the reason why not.

``/healthz`` answers for the process itself, ``/readyz`` for all checks: traffic should go elsewhere while
one of them fails. A check that was announced and has never reported is not ready: silence is no health.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

NOT_YET = "has not reported yet"


@dataclass(frozen=True, slots=True)
class Check:
    """One part's state; ``why`` is empty when it is fine."""

    name: str
    why: str = ""

    @property
    def ok(self) -> bool:
        """True when nothing is wrong with it."""
        return not self.why


class Health:
    """The state of every part that somebody must be able to rely on."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._checks = {name: Check(name, NOT_YET) for name in names}

    def ok(self, name: str) -> None:
        """*name* works."""
        self._checks[name] = Check(name)

    def fail(self, name: str, why: str) -> None:
        """*name* does not work; *why* is a lower-case sentence without secrets."""
        self._checks[name] = Check(name, why or "no reason given")

    def report(self, name: str, why: str) -> None:
        """*name* works when *why* is empty."""
        if why:
            self.fail(name, why)
        else:
            self.ok(name)

    @property
    def ready(self) -> bool:
        """True when every check is fine, and there is at least one."""
        return bool(self._checks) and all(check.ok for check in self._checks.values())

    def checks(self) -> tuple[Check, ...]:
        """All checks, by name."""
        return tuple(self._checks[name] for name in sorted(self._checks))

    def to_json(self) -> dict[str, Any]:
        """The body of ``/readyz``."""
        return {
            "ready": self.ready,
            "checks": {check.name: {"ok": check.ok, "why": check.why} for check in self.checks()},
        }
