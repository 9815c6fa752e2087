"""A worker's records: whole after the crossing, durable before anybody is told so, disowned when unwanted."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit.encode import body
from gateway.audit.lines import Briefs, Lines
from gateway.audit.log import AuditLog
from gateway.audit.read import Query, records
from gateway.clock import SystemClock, new_id
from gateway.errors import AuditError, BackendError
from gateway.model.event import Event, Kind
from gateway.session.hold import Holds
from gateway.session.live import Live
from gateway.workers.channel import Channel
from gateway.workers.desk import Desk
from gateway.workers.record import RemoteLog, pack, unpack
from tests.audit.rig import until

CLOCK = SystemClock()


def event(kind: Kind, **fields: Any) -> Event:
    return Event(kind, new_id(CLOCK.now_ns()), CLOCK.now_ns(), {"session_id": "s1", "user": "ann", **fields})


async def nobody(_database: str, _user: str) -> dict[str, Any]:
    raise BackendError("none here")


@asynccontextmanager
async def crossing(folder: Path) -> AsyncIterator[tuple[RemoteLog, AuditLog, Desk, Channel]]:
    log = await AuditLog.open(folder / "audit", key=Ed25519PrivateKey.generate(), origin="x", clock=CLOCK)
    desk = Desk(log, Live(), Holds(), None, nobody, CLOCK)
    first, second = socket.socketpair()
    for sock in (first, second):
        sock.setblocking(False)
    here, there = await Channel.over(first, {}), await Channel.over(second, desk.handlers())
    try:
        yield RemoteLog(here, CLOCK), log, desk, here
    finally:
        here.close()
        await there.closed
        await log.close()


def lines(folder: Path) -> list[Event]:
    return [item.event for item in records(folder / "audit", Query(oldest_first=True))]


def test_records_are_the_same_on_the_other_side() -> None:
    made_here = [
        (made, body(made)) for made in (event(Kind.SESSION_START, database="d"), event(Kind.USER_LOGIN))
    ]
    listed, blob = pack(made_here)
    back, end = unpack(json.loads(json.dumps(listed)), b"xx" + blob, 2)
    assert end == len(blob) + 2
    assert [line for _, line in back] == [line for _, line in made_here]
    assert back[0][0].fields == {"session_id": "s1", "user": "ann", "database": "d"}
    assert back[1][0].fields == {}


async def test_what_was_appended_is_durable_and_complete(tmp_path: Path) -> None:
    async with crossing(tmp_path) as (remote, log, _desk, _channel):
        sent = [event(Kind.SESSION_QUERY, statement=f"select {number}") for number in range(50)]
        await asyncio.gather(*[remote.append([item]) for item in sent])
        assert log.size >= 50
        remote.post(event(Kind.SESSION_QUERY_END, query_id=sent[0].id))
        remote.flush()
        await remote.append([event(Kind.USER_LOGIN)])
    found = lines(tmp_path)
    assert [item.fields["statement"] for item in found if item.kind is Kind.SESSION_QUERY] == [
        item.fields["statement"] for item in sent
    ]
    assert sum(item.kind is Kind.SESSION_QUERY_END for item in found) == 1


async def test_a_log_that_cannot_be_written_refuses(tmp_path: Path) -> None:
    async with crossing(tmp_path) as (remote, log, _desk, _channel):
        await log.close()
        with pytest.raises(AuditError, match="it is closed"):
            await remote.append([event(Kind.SESSION_QUERY)])


async def test_without_the_main_process_nothing_is_durable(tmp_path: Path) -> None:
    async with crossing(tmp_path) as (remote, _log, _desk, channel):
        channel.close()
        await channel.closed
        with pytest.raises(AuditError, match="gone"):
            await remote.append([event(Kind.SESSION_QUERY)])


async def test_a_record_that_nobody_waits_for_any_more_is_disowned(tmp_path: Path) -> None:
    async with crossing(tmp_path) as (remote, _log, _desk, _channel):
        query = event(Kind.SESSION_QUERY, statement="select 1")
        waiting = remote.append([query])
        await asyncio.sleep(0)
        waiting.cancel()
        await until(lambda: any(item.kind is Kind.SESSION_QUERY_END for item in lines(tmp_path)))
    ends = [item.fields for item in lines(tmp_path) if item.kind is Kind.SESSION_QUERY_END]
    assert [(end["query_id"], end["outcome"]) for end in ends] == [(query.id, "not_forwarded")]


async def test_what_a_lost_worker_had_open_is_closed(tmp_path: Path) -> None:
    async with crossing(tmp_path) as (remote, _log, desk, _channel):
        await remote.append([event(Kind.SESSION_START)])
        query = event(Kind.SESSION_QUERY)
        await remote.append([query])
        desk.forget()
        desk.forget()
        await until(lambda: lines(tmp_path)[-1].kind is Kind.SESSION_QUERY_END)
    ends = [item for item in lines(tmp_path) if item.kind.value.endswith(".end")]
    assert [(item.kind.value, item.fields["outcome"]) for item in ends] == [
        ("db.session.end", "unknown"),
        ("db.session.query.end", "unknown"),
    ]


def test_records_that_were_made_together_cross_as_they_are() -> None:
    fields = {"session_id": "s", "user": "ada", "decision_id": "d", "db_name": "0"}
    made = Lines(Briefs(Kind.SESSION_QUERY, 1, ["one", "two"], [fields, fields]), [("1 ", "", 2)], " end")
    crossed, _ = unpack(*pack(made))
    assert [line.line(at) for at, (_, line) in enumerate(crossed, 7)] == made.lines(7)
    assert [(seen.id, dict(seen.fields)) for seen, _ in crossed] == [("one", fields), ("two", fields)]
