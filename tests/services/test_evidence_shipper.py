"""A service brings what its decisions were made from; nothing that goes wrong with it stops the service."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import AuditError, BackendError, NotFoundError, RegateError
from gateway.policy import document, parcel
from gateway.policy.evidence import FILE, Content, Evidence
from gateway.policy.parcel import Parcel
from gateway.services.evidence_shipper import EvidenceShipper, Pace, wanted_from_json

QUICK = Pace(linger=0.0, between=0.0, look=0.0, retry_first=0.0001, retry_most=0.001)


class Asking:
    """An auth service that wants *wanted*, at most *at_once* together, after some *failures*."""

    def __init__(self, wanted: list[str], *, at_once: int = 2, failures: tuple[Exception, ...] = ()) -> None:
        self.wanted = wanted
        self.at_once = at_once
        self.failures = list(failures)
        self.parcels: list[Parcel] = []
        self.asked = 0
        self.heard, self.done = asyncio.Event(), asyncio.Event()

    async def evidence_wanted(self) -> Any:
        self.asked += 1
        self.heard.set()
        if self.failures:
            raise self.failures.pop(0)
        return self._answer()

    async def bring_evidence(self, body: bytes) -> Any:
        brought = parcel.decode(body)
        self.parcels.append(brought)
        here = {*brought.missing, *(item.digest for item in brought.contents)}
        self.wanted = [digest for digest in self.wanted if digest not in here]
        if not self.wanted:
            self.done.set()
        return self._answer()

    def _answer(self) -> Any:
        return {"wanted": self.wanted[: self.at_once], "left": len(self.wanted), "full": ""}


class Counted:
    """What is told as a metric."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def audit_evidence_lag(self, entries: int) -> None:
        self.told.append(entries)


def kept(folder: Path, *bodies: bytes) -> list[str]:
    contents = [Content(document.digest(body), body) for body in bodies]
    with Evidence(folder) as evidence:
        evidence.write(contents, [])
    return [item.digest for item in contents]


async def until_done(
    shipper: EvidenceShipper, asking: Asking, meanwhile: Callable[[], object] | None = None
) -> None:
    """Let it run until everything was brought; *meanwhile* happens after the first question."""
    task = asyncio.create_task(shipper.run())
    try:
        async with asyncio.timeout(30):
            await asking.heard.wait()
            if meanwhile is not None:
                meanwhile()
            await asking.done.wait()
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled()


async def test_everything_is_brought_in_bounded_parcels_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = kept(tmp_path, b'{"a":1}', b'{"b":1}', b'{"c":"%b"}' % (b"x" * 90))
    monkeypatch.setattr(parcel, "MOST_BYTES", 50)
    asking, metrics = Asking([*digests, "f" * 64], at_once=4), Counted()
    said = await EvidenceShipper(tmp_path, asking, metrics, QUICK).once()
    assert (list(said.digests), said.left, metrics.told[0], metrics.told[-1]) == ([], 0, 4, 0)
    assert sorted(item.digest for each in asking.parcels for item in each.contents) == sorted(digests)
    assert [each.missing for each in asking.parcels if each.missing] == [["f" * 64]]
    for each in asking.parcels:
        assert len(each.contents) <= 1 or sum(len(item.body) for item in each.contents) <= 50


@pytest.mark.parametrize(
    "failures",
    [
        (BackendError("cannot reach it"), BackendError("cannot reach it")),
        (NotFoundError("no log of this service is registered"),),
        (ValueError("an answer that is no JSON"),),
    ],
)
async def test_whatever_fails_is_tried_again(tmp_path: Path, failures: tuple[Exception, ...]) -> None:
    asking = Asking(kept(tmp_path, b'{"a":1}'), failures=failures)
    shipper = EvidenceShipper(tmp_path, asking, pace=QUICK)
    await until_done(shipper, asking)
    assert asking.asked > len(failures)


async def test_without_evidence_there_is_an_attempt_later(tmp_path: Path) -> None:
    digest = document.digest(b'{"a":1}')
    asking = Asking([digest])
    shipper = EvidenceShipper(tmp_path, asking, pace=QUICK)
    with pytest.raises(RegateError):
        await shipper.once()
    await until_done(shipper, asking, lambda: kept(tmp_path, b'{"a":1}'))
    assert [item.digest for each in asking.parcels for item in each.contents] == [digest]


async def test_news_are_a_reason_to_ask(tmp_path: Path) -> None:
    asking = Asking([])
    patient = Pace(linger=0.0, between=0.0, look=3600.0)
    shipper = EvidenceShipper(tmp_path, asking, pace=patient)

    def news() -> None:
        asking.wanted = kept(tmp_path, b'{"a":1}')
        shipper.news()

    await until_done(shipper, asking, news)


async def test_an_entry_that_was_damaged_is_missing_and_the_others_come(tmp_path: Path) -> None:
    bad, good = kept(tmp_path, b'{"a":1}', b'{"b":1}')
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("UPDATE content SET body = x'00' WHERE digest = ?", [bad])
    database.close()
    asking = Asking([bad, good])
    await EvidenceShipper(tmp_path, asking, pace=QUICK).once()
    (brought,) = asking.parcels
    assert ([item.digest for item in brought.contents], brought.missing) == ([good], [bad])


async def test_what_is_asked_for_again_at_once_is_not_brought_for_ever(tmp_path: Path) -> None:
    class Deaf(Asking):
        async def bring_evidence(self, body: bytes) -> Any:
            self.parcels.append(parcel.decode(body))
            return self._answer()

    asking = Deaf(kept(tmp_path, b'{"a":1}'))
    with pytest.raises(AuditError, match="asks again"):
        await EvidenceShipper(tmp_path, asking, pace=QUICK).once()
    assert len(asking.parcels) == 1


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"wanted": "a", "left": 0, "full": ""},
        {"wanted": [1], "left": 0, "full": ""},
        {"wanted": ["a"] * 501, "left": 0, "full": ""},
        {"wanted": [], "left": "0", "full": ""},
        {"wanted": [], "left": 0, "full": None},
    ],
)
def test_an_answer_that_says_something_else_is_refused(answer: object) -> None:
    with pytest.raises(AuditError, match="does not say"):
        wanted_from_json(answer)
