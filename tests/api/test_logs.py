"""Logs of other services at the auth service: shipped, proved, and told apart when something is wrong."""

import asyncio
import io
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientTimeout

from gateway.api import logs
from gateway.audit import checkpoint, note
from gateway.audit.checkpoint import Checkpoint
from gateway.audit.replica import MisplacedError
from gateway.audit.ship import NOTHING, Held, encode, origin_of
from gateway.audit.source import LogSource
from gateway.audit.verify import verify
from gateway.cli.client import Api
from gateway.errors import AccessError, AuditError, ConfigError, NotFoundError, RegateError
from gateway.observe.metrics import Metrics
from tests.api.rig import Rig
from tests.api.services import (
    Service,
    about,
    courier_of,
    enrolled,
    log_key,
    messages,
    shipped,
    shipper_of,
)
from tests.audit.rig import event, opened, until
from tests.e2e.cluster import eventually

NUMBERS = count()
_PATIENT = ClientTimeout(total=60)


@pytest.fixture
def service(rig: Rig, tmp_path: Path) -> Service:
    """A service that joined under a name of its own."""
    return enrolled(rig, tmp_path / "service", f"agent-{next(NUMBERS)}")


async def write(service: Service, number: int, *, log: Path | None = None) -> None:
    """So many more events in the log, all of them signed."""
    directory = log or service.log
    directory.parent.mkdir(exist_ok=True)
    key, origin = log_key(service.log), origin_of("test", service.name)
    async with opened(directory, key=key, origin=origin, segment_bytes=5000) as opened_log:
        for start in range(0, number, 10):
            await opened_log.append([event(n=n) for n in range(start, min(number, start + 10))])


def listed(local: Api, service: Service) -> list[dict[str, Any]]:
    return list(local.lines("/v1/audit", {"origin": service.name, "order": "oldest"}))


async def test_a_log_arrives_and_is_listed_and_proved_under_its_name(
    rig: Rig, local: Api, service: Service
) -> None:
    await write(service, 130)
    held = await shipped(service)
    assert (held.epoch, held.size) == (1, 130)
    await write(service, 20)
    assert (await shipped(service)).size == 150
    (report,) = about(local, service)
    assert (report["ok"], report["records"], report["covered"], report["findings"]) == (True, 150, 150, [])
    lines = listed(local, service)
    assert [line["index"] for line in lines] == list(range(150))
    assert {line["origin"] for line in lines} == {origin_of("test", service.name)}
    every = list(local.lines("/v1/audit", {"limit": 160}))
    assert {line["origin"] for line in every} >= {"test/audit", origin_of("test", service.name)}
    assert [line["time"] for line in every] == sorted((line["time"] for line in every), reverse=True)
    copy = rig.folder / "data" / "logs" / service.name / "000001"
    assert verify(copy, log_key(service.log).public_key()).ok  # an auditor needs no service for it
    kept = LogSource(service.log).newest()[1].decode()
    assert local.post("/v1/audit/verify", {"checkpoint": kept})["origins"][0]["ok"]
    with pytest.raises(RegateError, match="there is no log"):
        list(local.lines("/v1/audit", {"origin": "nobody"}))


async def test_shipping_again_changes_nothing(local: Api, service: Service) -> None:
    await write(service, 30)
    first = LogSource(service.log).batch(0)
    assert first is not None
    held = await shipped(service)
    async with courier_of(service) as courier:
        with pytest.raises(MisplacedError):
            await courier.send(encode(1, first))
        assert await courier.held() == held
    assert await shipped(service) == held
    assert len(listed(local, service)) == 30


@pytest.mark.parametrize("lost", ["before", "after"])
async def test_a_lost_answer_is_no_lost_and_no_double_record(
    rig: Rig, local: Api, service: Service, lost: str
) -> None:
    for _ in range(6):
        await write(service, 10)  # a checkpoint each time
    async with shipper_of(service) as shipper:
        shipper.source = LogSource(service.log, batch_bytes=1)
        shipper.courier = Flaky(shipper.courier, lost)
        shipper.pace.retry_first = shipper.pace.retry_most = 0.01
        task = asyncio.create_task(shipper.run())
        await until(lambda: len(records(rig, service)) == 60, seconds=20)
        task.cancel()
    assert messages(local, service) == []
    assert [line["index"] for line in listed(local, service)] == list(range(60))


class Flaky:
    """A way on which every fourth request or answer is lost."""

    def __init__(self, real: Any, lost: str, every: int = 4) -> None:
        self._real, self._lost, self._turn, self._every = real, lost, count(1), every

    async def _try(self, call: Callable[[], Awaitable[Held]]) -> Held:
        fails = next(self._turn) % self._every == 0
        if fails and self._lost == "before":
            raise AuditError("lost")
        answer = await call()
        if fails:
            raise AuditError("lost")
        return answer

    async def held(self) -> Held:
        return await self._try(self._real.held)

    async def greet(self, signer: str, epoch: int, text: bytes) -> Held:
        return await self._try(lambda: self._real.greet(signer, epoch, text))

    async def send(self, body: bytes) -> Held:
        return await self._try(lambda: self._real.send(body))


async def test_a_wiped_disk_is_a_finding_and_the_old_copy_stays(local: Api, service: Service) -> None:
    await write(service, 70)
    await shipped(service)
    shutil.rmtree(service.log)
    await write(service, 15)
    assert (await shipped(service)).epoch == 2
    old, new = about(local, service)
    assert (old["records"], old["epoch"], old["ok"]) == (70, 1, True)
    assert (new["records"], new["epoch"], new["ok"]) == (15, 2, False)
    assert "log restarted at 0, 70 records expected" in new["findings"][0]["message"]
    assert len(listed(local, service)) == 85
    answer = local.get("/v1/audit/verify")
    assert not answer["ok"]
    assert answer["origins"][0]["ok"]
    local.post("/v1/audit/settle", {"origin": service.name, "reason": "the disk was replaced"})
    assert [item["ok"] for item in about(local, service)] == [True, True]
    assert [found["warning"] for found in about(local, service)[1]["findings"]] == [True]


async def test_a_log_put_back_from_an_older_copy_is_a_finding(local: Api, service: Service) -> None:
    await write(service, 40)
    older = shutil.copytree(service.log, service.folder / "older")
    await write(service, 20)
    await shipped(service)
    shutil.rmtree(service.log)
    older.rename(service.log)
    await write(service, 5)
    assert (await shipped(service)).epoch == 2
    assert any("60 records expected" in message for message in messages(local, service))


async def test_a_fork_is_a_finding_with_both_checkpoints(local: Api, service: Service) -> None:
    await write(service, 40)
    await shipped(service)
    other = service.folder / "fork"
    await write(service, 60, log=other)
    source = LogSource(other)
    batch = source.batch(40)
    assert batch is not None
    signer = note.verifier(origin_of("test", service.name), log_key(service.log).public_key()).encode()
    root = source.root_at(40)
    text = checkpoint.publish(Checkpoint(origin_of("test", service.name), 40, root), log_key(service.log))
    async with courier_of(service) as courier:
        for _ in range(2):  # told once, refused each time
            with pytest.raises(AccessError) as caught:
                await courier.send(encode(1, batch))
            assert caught.value.code == "log_forked"
            with pytest.raises(AccessError):
                await courier.greet(signer, 1, text.encode())
        assert (await courier.held()).size == 40
    (report,) = about(local, service)
    assert (report["ok"], report["records"], len(report["findings"])) == (False, 40, 2)
    found = list(local.lines("/v1/audit", {"kind": "audit.finding", "text": service.name, "order": "oldest"}))
    assert found[-1]["fields"]["code"] == "log_forked"
    evidence = [item.encode() for item in found[-1]["fields"]["checkpoints"]]
    trusted = note.parse_verifier(signer)
    heads = [checkpoint.verify(item, trusted) for item in evidence]
    assert heads[0].size == heads[1].size
    assert heads[0].root != heads[1].root


async def test_a_checkpoint_older_than_what_was_shipped_is_a_finding(local: Api, service: Service) -> None:
    await write(service, 20)
    early = LogSource(service.log).newest()[1]
    await write(service, 20)
    await shipped(service)
    async with shipper_of(service) as shipper:
        with pytest.raises(AccessError, match="rolled back to 20 records, 40 expected"):
            await shipper.courier.greet(shipper.signer.encode(), 1, early)
    assert not about(local, service)[0]["ok"]


async def test_another_key_is_refused_and_a_finding(rig: Rig, local: Api, service: Service) -> None:
    await write(service, 10)
    await shipped(service)
    service.log.with_suffix(".key").unlink()
    shutil.rmtree(service.log)
    await write(service, 10)
    with pytest.raises(AccessError) as caught:
        await shipped(service)
    assert caught.value.code == "log_key_changed"
    assert any("another key" in message for message in messages(local, service))


async def test_a_service_that_joins_again_may_bring_another_key(
    rig: Rig, local: Api, service: Service
) -> None:
    await write(service, 10)
    await shipped(service)
    service.log.with_suffix(".key").unlink()
    shutil.rmtree(service.log)
    await write(service, 12)
    signer = note.verifier(origin_of("test", service.name), log_key(service.log).public_key()).encode()
    await rig.ask(lambda: rig.auth.logs.register(service.name, signer))
    assert (await shipped(service)).epoch == 2
    old, new = about(local, service)
    assert (old["ok"], old["records"], new["records"]) == (True, 10, 12)
    assert "10 records expected" in new["findings"][0]["message"]


async def test_what_was_tampered_with_at_the_auth_service_is_found(
    rig: Rig, local: Api, service: Service
) -> None:
    await write(service, 50)
    await shipped(service)
    path = min((rig.folder / "data" / "logs" / service.name / "000001").glob("*.log"))
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"n":3', b'"n":4', 1))
    (report,) = about(local, service)
    assert (report["ok"], report["first_bad"]) == (False, 3)
    path.write_bytes(data)
    shutil.copytree(path.parent, path.parent.with_name("000002"))
    assert any("own log does not say so" in message for message in messages(local, service))
    shutil.rmtree(path.parent.with_name("000002"))


async def test_a_silent_service_is_a_finding(rig: Rig, local: Api, service: Service) -> None:
    await write(service, 10)
    await shipped(service)
    assert messages(local, service) == []
    rig.now.ahead_seconds = 301
    try:
        assert messages(local, service) == ["its service is silent: no checkpoint for 5 minutes"]
    finally:
        rig.now.ahead_seconds = 0
    await shipped(service)


async def test_an_idle_service_is_heard(rig: Rig, service: Service) -> None:
    await write(service, 10)
    seen = rig.folder / "data" / "logs" / service.name / "seen"
    async with shipper_of(service) as shipper:
        shipper.pace.heartbeat = 0.05
        task = asyncio.create_task(shipper.run())
        await until(seen.exists)
        for _ in range(3):
            before = seen.stat().st_mtime_ns
            await until(lambda: seen.stat().st_mtime_ns > before)  # noqa: B023 -- called within the turn
        task.cancel()


def test_two_services_one_killed_and_wiped(rig: Rig, local: Api, tmp_path: Path) -> None:
    """Processes of their own, killed with -9, the disk of one of them wiped in between."""
    steady = enrolled(rig, tmp_path / "steady", f"agent-{next(NUMBERS)}")
    unlucky = enrolled(rig, tmp_path / "unlucky", f"agent-{next(NUMBERS)}")
    with steady.running(rate=100):
        for _ in range(3):
            with unlucky.running(rate=100):
                before = len(records(rig, unlucky))
                for _ in eventually("more records", seconds=30):
                    if len(records(rig, unlucky)) > before + 20:
                        break
        assert messages(local, unlucky) == []
        count_before = len(records(rig, unlucky))
        shutil.rmtree(unlucky.log)  # its key is elsewhere, as on a host that joined
        with unlucky.running(rate=100):
            for _ in eventually("the new beginning", seconds=30):
                if len(about(local, unlucky)) == 2 and about(local, unlucky)[1]["records"]:
                    break
        old, new = about(local, unlucky)
        assert (old["records"], old["ok"]) == (count_before, True)
        assert f"log restarted at 0, {count_before} records expected" in new["findings"][0]["message"]
        for _ in eventually("the other one goes on", seconds=20):
            if len(records(rig, steady)) > 60:
                break
    (report,) = about(local, steady)
    assert (report["ok"], report["findings"]) == (True, [])
    numbers = [line["index"] for line in listed(local, steady)]
    assert numbers == list(range(len(numbers)))


def records(rig: Rig, service: Service) -> list[bytes]:
    folder = rig.folder / "data" / "logs" / service.name
    return [line for path in folder.glob("*/*.log") for line in path.read_bytes().splitlines()]


async def test_only_a_service_that_joined_ships(rig: Rig, stranger: Api, local: Api, tmp_path: Path) -> None:
    for api in (stranger, local):
        with pytest.raises(RegateError, match="the host certificate of a service"):
            api.get("/v1/log")
    own = enrolled(rig, tmp_path / "own", "localhost", service="")
    async with courier_of(own) as courier:
        with pytest.raises(AccessError, match="of no service that joined"):
            await courier.held()


async def test_a_service_that_was_removed_ships_nothing(rig: Rig, local: Api, service: Service) -> None:
    await write(service, 10)
    await shipped(service)
    local.delete(f"/v1/agents/{service.name}")
    await write(service, 10)
    with pytest.raises(AccessError, match="not part of the cluster"):
        await shipped(service)
    (report,) = about(local, service)
    assert (report["ok"], report["records"]) == (True, 10)
    assert messages(local, service) == ["its service was removed from the cluster"]


async def test_a_service_ships_its_own_log_only(service: Service) -> None:
    await write(service, 10)
    foreign = note.verifier(origin_of("test", "somebody"), log_key(service.log).public_key())
    own = note.verifier("test/audit", log_key(service.log).public_key())
    _, text = LogSource(service.log).newest()
    async with courier_of(service) as courier:
        for signer in (foreign, own):
            with pytest.raises(ConfigError, match="must be called"):
                await courier.greet(signer.encode(), 1, text)
        with pytest.raises(NotFoundError, match="no log of"):
            await courier.send(b"{}")
        assert await courier.held() == NOTHING


async def test_what_is_no_batch_is_refused(local: Api, service: Service) -> None:
    await write(service, 10)
    held = await shipped(service)
    _, text = LogSource(service.log).newest()
    header = {"epoch": 1, "first": 10, "checkpoint": text.decode()}
    bodies = [
        b"",
        b"{}\n",
        b"[]\n",
        b"\xff\n",
        b"[" * 100_000,
        json.dumps({**header, "first": -1}).encode() + b"\n",
        json.dumps({**header, "first": True}).encode() + b"\n",
        json.dumps({**header, "more": 1}).encode() + b"\n",
        json.dumps(header).encode() + b"\n{}\n",
        json.dumps({**header, "checkpoint": "x"}).encode() + b"\n",
    ]
    async with courier_of(service) as courier:
        for body in bodies:
            with pytest.raises(RegateError):
                await courier.send(body)
        for epoch in (0, 3, 10**9):
            with pytest.raises(RegateError):
                await courier.greet(_signer(service), epoch, text)
        with pytest.raises(RegateError):
            await courier.greet("nonsense", 1, text)
        assert await courier.held() == held
    assert messages(local, service) == []


async def test_services_that_stall_in_a_batch_hold_no_other_up(rig: Rig, tmp_path: Path) -> None:
    services = [enrolled(rig, tmp_path / f"s{at}", f"agent-{next(NUMBERS)}") for at in range(6)]
    for each in services:
        await write(each, 2)
        await shipped(each)
    *stalling, other = services
    begun = asyncio.Semaphore(0)

    async def part() -> AsyncIterator[bytes]:
        yield b"{"
        begun.release()
        await asyncio.Event().wait()

    tasks = [asyncio.create_task(_sent(each, part())) for each in stalling]
    try:
        async with asyncio.timeout(30):
            for _ in tasks:
                await begun.acquire()
            await write(other, 2)
            assert (await shipped(other)).size > 2
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_a_batch_that_does_not_come_is_not_waited_for_any_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "_RECEIVE_SECONDS", 0.1)

    async def part() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    request: Any = SimpleNamespace(content=SimpleNamespace(iter_any=part))
    with pytest.raises(ConfigError, match="did not come within"):
        await logs.receive(request, io.BytesIO(), 100)


async def _sent(service: Service, parts: AsyncIterator[bytes]) -> None:
    """Send a batch that comes in parts."""
    async with service.remote() as remote:
        assert remote._session is not None
        url = f"https://{remote.server}/v1/log/records"
        async with remote._session.post(url, data=parts, ssl=remote._context, timeout=_PATIENT):
            pass


def _signer(service: Service) -> str:
    return note.verifier(origin_of("test", service.name), log_key(service.log).public_key()).encode()


async def test_shipping_tells_how_far_it_is(service: Service) -> None:
    metrics = Metrics()
    await write(service, 25)
    async with shipper_of(service) as shipper:
        shipper.metrics = metrics
        await shipper.once()
        assert b"regate_audit_ship_lag 0.0" in metrics.render()
        assert b"regate_audit_ship_up 1.0" in metrics.render()
        shipper.courier = Flaky(shipper.courier, "before", every=1)
        task = asyncio.create_task(shipper.run())
        await until(lambda: b"regate_audit_ship_up 0.0" in metrics.render())
        task.cancel()


def test_nothing_that_names_no_log_is_settled(local: Api) -> None:
    with pytest.raises(ConfigError, match="is registered"):
        local.post("/v1/audit/settle", {"origin": "test/audit", "reason": "x"})
    with pytest.raises(ConfigError, match="expected a sentence"):
        local.post("/v1/audit/settle", {"origin": "x", "reason": " "})
