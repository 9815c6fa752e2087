"""The numbers behind ``/metrics``, in Prometheus' terms: one method for each thing that happens.

Labels hold names that an operator chose and short stable codes; never a user, a statement or an address,
so that the number of series stays small and nothing secret gets out this way.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from gateway.observe.tally import TallyCounter, TallyHistogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FAST = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.others: Callable[[bytes], bytes] | None = None  # adds what other processes count
        where = ("database", "protocol")
        self._sessions = self._gauge("sessions", "Open database sessions.", where)
        self._sessions_total = self._counter("sessions_started", "Database sessions begun.", where)
        self._ended = self._counter("sessions_ended", "Database sessions ended, by reason code.", ("reason",))
        self._decisions = TallyCounter("regate_decisions", "Policy decisions.", ("verdict", "code"))
        self._decision = self._fast("decision_seconds", "Time until the policy had answered.")
        self._batch = TallyHistogram(
            "regate_decision_batch_size", "Questions asked of the policy together.", (1, 2, 4, 8, 16)
        )
        self._classify = self._fast("classification_seconds", "Time to understand a statement.")
        self._logins = self._counter("logins", "Logins, by result code.", ("result",))
        self._certificates = self._counter("certificates", "Certificates issued, by use.", ("use",))
        self._opa_restarts = self._counter("opa_restarts", "Times the policy engine was started again.", ())
        self._opa_up = self._gauge("opa_up", "1 while the policy engine answers as it must.", ())
        self._lag = self._gauge("audit_lag_records", "Records handed in that are not durable yet.", ())
        self._durable = self._fast("audit_durable_seconds", "Time until a record was durable.")
        self._records = TallyCounter("regate_audit_records", "Records made durable.", ())
        self._healthy = self._gauge("audit_healthy", "1 while events can be recorded.", ())
        self._disk = self._gauge("audit_disk_used_percent", "How full the disk of the audit log is.", ())
        self._ship_lag = self._gauge("audit_ship_lag", "Signed records that were not shipped yet.", ())
        self._ship_up = self._gauge("audit_ship_up", "1 while the auth service takes this log's records.", ())
        self._evidence_lag = self._gauge(
            "audit_evidence_lag", "Evidence of decisions that the auth service wants and has not got.", ()
        )
        for tally in (self._decisions, self._batch, self._records):
            self.registry.register(tally)

    def session_started(self, database: str, protocol: str) -> None:
        """A session got through to its database."""
        self._sessions.labels(database, protocol).inc()
        self._sessions_total.labels(database, protocol).inc()

    def session_ended(self, database: str, protocol: str, reason: str) -> None:
        """A session that had started is over; *reason* is a stable code."""
        self._sessions.labels(database, protocol).dec()
        self._ended.labels(reason).inc()

    def decision(self, verdict: str, code: str, seconds: float) -> None:
        """The policy answered ``allow`` or ``deny`` with its first reason's *code* after *seconds*."""
        self._decisions.add(verdict, code)
        self._decision.observe(seconds)

    def decision_batch(self, size: int) -> None:
        """So many questions went to the policy together."""
        self._batch.observe(size)

    def classified(self, seconds: float) -> None:
        """A statement was understood, or not, after *seconds*."""
        self._classify.observe(seconds)

    def login(self, result: str) -> None:
        """Somebody logged in (``ok``), or did not; *result* is a stable code."""
        self._logins.labels(result).inc()

    def certificate(self, use: str) -> None:
        """A certificate was issued."""
        self._certificates.labels(use).inc()

    def opa_restarted(self) -> None:
        """The policy engine was started again."""
        self._opa_restarts.inc()

    def opa_up(self, *, up: bool) -> None:
        """Whether the policy engine answers as it must."""
        self._opa_up.set(int(up))

    def audit_lag(self, records: int) -> None:
        """So many records wait for the disk."""
        self._lag.set(records)

    def audit_durable(self, seconds: float, records: int) -> None:
        """A call's records became durable after that time."""
        self._durable.observe(seconds)
        self._records.add(number=records)

    def audit_healthy(self, *, healthy: bool) -> None:
        """Whether events can be recorded."""
        self._healthy.set(int(healthy))

    def audit_disk(self, used_percent: int) -> None:
        """How full the log's disk is."""
        self._disk.set(used_percent)

    def audit_ship_lag(self, records: int) -> None:
        """So many signed records have not been shipped."""
        self._ship_lag.set(records)

    def audit_ship_up(self, *, up: bool) -> None:
        """Whether the receiver took the last thing it was sent."""
        self._ship_up.set(int(up))

    def audit_evidence_lag(self, entries: int) -> None:
        """So much evidence is wanted by the auth service and was not brought."""
        self._evidence_lag.set(entries)

    def render(self) -> bytes:
        """The text that a scrape gets; its type is ``CONTENT_TYPE``."""
        own = generate_latest(self.registry)
        return own if self.others is None else self.others(own)

    def _counter(self, name: str, help_: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"regate_{name}", help_, labels, registry=self.registry)

    def _gauge(self, name: str, help_: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(f"regate_{name}", help_, labels, registry=self.registry)

    def _fast(self, name: str, help_: str) -> TallyHistogram:
        made = TallyHistogram(f"regate_{name}", help_, _FAST)
        self.registry.register(made)
        return made
