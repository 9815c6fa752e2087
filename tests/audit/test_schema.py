"""The published shape of records: what the program writes has it, and it is a shape worth having."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway import schema
from gateway.audit.encode import canonical, encode_fields
from gateway.audit.intents import NOT_FORWARDED, closing
from gateway.clock import SystemClock
from gateway.model.classification import Class, Classification, Effect, ObjectRef
from gateway.model.decision import Allowed, Denied, Reason, Revisions
from gateway.model.event import Event, Kind
from gateway.model.identity import Identity, Use
from gateway.model.resource import Database
from gateway.model.statement import Phase
from gateway.sansio.exchange import Outcome, Request
from gateway.session.record import Recorder, Who
from tests.audit.rig import FaultyDisk, event, hang, opened, query, read, until
from tests.audit.shape import problems, record_problems

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WHO = Who(
    "01S",
    Identity("ada", ("reader",), {}, "example", Use.DATABASE, NOW, NOW, "0a"),
    Database("sales", "postgres", "db.example:5432"),
    ("ada", "mydb"),
    "192.0.2.1:5000",
)
ALLOWED = Allowed(
    "01D", Revisions("9f3c", 41), "ab" * 32, ("reader",), (Reason("role_permits", role="reader"),)
)
DENIED = Denied("01D", (Reason("drop_refused", "no drop here"),), Revisions("9f3c", 41), "ab" * 32)
UNANSWERED = Denied("01D", (Reason("policy_unavailable"),))
FACTS = Classification(
    "select",
    Class.READ,
    (
        Effect(
            "select",
            Class.READ,
            ObjectRef("table", "orders", "app", "mydb"),
            ("id",),
            has_where=True,
            limit=1,
        ),
    ),
    fingerprint="f",
    redacted="select id from orders",
)
OPAQUE = Classification("unknown", Class.UNKNOWN, (Effect("unknown", Class.UNKNOWN),), complete=False)
RECORDER = Recorder(WHO, SystemClock())


def request(phase: Phase) -> Request:
    return Request(b"", phase, (), "p1", ("int4", "text"))


WRITTEN = [
    RECORDER.started(ALLOWED, "psql"),
    RECORDER.ended("client_closed", "", {"bytes_sent": 1, "bytes_received": 2}),
    RECORDER.denied(DENIED),
    RECORDER.denied(UNANSWERED),
    *RECORDER.requested(request(Phase.QUERY), (FACTS, OPAQUE), ALLOWED),
    *RECORDER.requested(request(Phase.PREPARE), (FACTS,), ALLOWED),
    *RECORDER.requested(request(Phase.EXECUTE), (FACTS,), DENIED),
    *RECORDER.finished(["01Q", "01R"], Outcome(request(Phase.QUERY), rows=3, bytes=10), 5),
    closing(query(), outcome=NOT_FORWARDED, id_="01C", time_ns=0, reason="withdrawn"),
]


@pytest.mark.parametrize("written", WRITTEN, ids=lambda item: item.kind.value)
def test_what_a_session_records_has_the_shape(written: Event) -> None:
    assert problems(written) == []


@pytest.mark.parametrize("written", WRITTEN, ids=lambda item: item.kind.value)
def test_what_is_kept_ready_is_the_canonical_form_of_the_fields(written: Event) -> None:
    assert written.encoded in {"", encode_fields(written.fields)}


async def test_what_the_log_says_of_itself_has_the_shape(tmp_path: Path) -> None:
    disk = FaultyDisk()
    async with opened(tmp_path / "audit", files=disk) as log:
        future = log.append([event(Kind.SESSION_START, session_id="s1"), query()])
        future.cancel()
        await until(lambda: log.size == 4)
        disk.fail("write")
        log.post(event())
        await until(lambda: not log.healthy)
        disk.heal()
        await until(lambda: log.healthy)
        hang(disk, log, notice_after=0.1)
        log.append([event()]).add_done_callback(lambda done: done.exception())
        await until(lambda: not log.healthy)
        disk.heal()
        await until(lambda: log.healthy and log.lag == 0)
    found = [record.event for record in read(tmp_path / "audit")]
    own = [item for item in found if "reason" in item.fields]
    assert {item.kind for item in own} == {
        Kind.AUDIT_STOPPED,
        Kind.AUDIT_RESUMED,
        Kind.SESSION_END,
        Kind.SESSION_QUERY_END,
    }
    assert [problems(item) for item in own] == [[]] * len(own)


def test_the_schema_knows_every_kind() -> None:
    shape = schema.load("event")
    Draft202012Validator.check_schema(shape)
    assert shape["properties"]["kind"]["enum"] == [kind.value for kind in Kind]


def changed(**change: Any) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(canonical(WRITTEN[4], 7))
    fields = {**record["fields"], **change.pop("fields", {})}
    record |= {"fields": {name: value for name, value in fields.items() if value is not ...}}
    return {name: value for name, value in {**record, **change}.items() if value is not ...}


def test_the_unchanged_record_has_the_shape() -> None:
    assert WRITTEN[4].kind is Kind.SESSION_QUERY
    assert record_problems(changed()) == []


@pytest.mark.parametrize(
    "record",
    [
        changed(index=-1),
        changed(index="7"),
        changed(id=""),
        changed(time="2026-01-01T00:00:00Z"),
        changed(kind="db.session.quarry"),
        changed(extra=1),
        changed(fields={"password": "x"}),
        changed(fields={"unknown_field": 1}),
        changed(fields={"statement": ...}),
        changed(fields={"decision_id": ...}),
        changed(fields={"input_digest": "short"}),
        changed(fields={"roles": "reader"}),
        changed(fields={"verdict": "denied"}),
        changed(fields={"class": "writes"}),
        changed(fields={"effects": [{"operation": "select"}]}),
        changed(fields={"rows": -1}),
        changed(kind="db.session.denied"),
        changed(kind="db.session.query.end"),
        changed(kind="audit.stopped"),
        [],
    ],
    ids=lambda record: str(record)[:40],
)
def test_what_does_not_have_the_shape_is_told(record: Any) -> None:
    assert record_problems(record)
