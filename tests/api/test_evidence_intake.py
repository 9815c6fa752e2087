"""What services elsewhere decided from, at the auth service: asked for, proved, bounded, and told apart."""

import json
import shutil
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from gateway.api import evidence_intake
from gateway.audit.ship import origin_of
from gateway.cli.client import Api
from gateway.errors import ConfigError, NotFoundError, RegateError
from gateway.model.event import Event, Kind
from gateway.policy import document, parcel
from gateway.policy.collecting import MOST_INPUT
from gateway.policy.evidence import FILE, Content, Evidence, Revision, without_secrets
from gateway.policy.parcel import Parcel
from gateway.services.evidence_shipper import EvidenceShipper, Pace, Wanted
from tests.api.rig import Rig
from tests.api.services import Service, about, enrolled, log_key, messages, shipped
from tests.audit.rig import event, opened
from tests.policy import documents

NUMBERS = count()


@pytest.fixture
def service(rig: Rig, tmp_path: Path) -> Iterator[Service]:
    """A service that joined under a name of its own; the clock is right again afterwards."""
    yield enrolled(rig, tmp_path / "service", f"decides-{next(NUMBERS)}")
    rig.now.ahead_seconds = 0


def query(user: str, table: str = "orders") -> Content:
    """What was asked about a statement."""
    session, facts = documents.session(user, "analyst"), documents.reads(table)
    body = document.encode(
        {"session": json.loads(session.content), "statements": [fact.to_json() for fact in facts]}
    )
    return Content(document.digest(body), body)


def setting(user: str, name: str = "app.jwt") -> Content:
    """What was asked about a statement that sets something, secrets and all."""
    session, facts = documents.session(user, "analyst"), documents.sets(name, "hunter2")
    body = document.encode(
        {"session": json.loads(session.content), "statements": [fact.to_json() for fact in facts]}
    )
    return Content(document.digest(body), body)


def connect(user: str) -> Content:
    body = document.encode(documents.connect(user, "db-access").to_json())
    return Content(document.digest(body), body)


def data(revision: int) -> Content:
    body = document.encode(documents.data(revision=revision))
    return Content(document.digest(body), body)


def of_input(digest: str) -> Event:
    return event(Kind.SESSION_QUERY, session_id="s", input_digest=digest, statement='"input_digest":"x"')


def of_data(revision: int, digest: str) -> Event:
    return event(Kind.POLICY_DATA, data_revision=revision, data_digest=digest)


async def logged(service: Service, events: Sequence[Event], kept: Sequence[Content] = ()) -> None:
    """More events in the log, shipped, and what the service keeps of them."""
    service.log.parent.mkdir(exist_ok=True)
    origin = origin_of("test", service.name)
    async with opened(service.log, key=log_key(service.log), origin=origin) as log:
        await log.append(list(events))
    with Evidence(service.log) as evidence:
        evidence.write(kept, [])
    await shipped(service)


async def brought(service: Service) -> Wanted:
    """Bring what is wanted; the last answer."""
    async with service.remote() as remote:
        return await EvidenceShipper(service.log, remote, pace=Pace(between=0.0)).once()


def found(local: Api, service: Service, *contents: Content) -> dict[str, Any]:
    """Which of these the auth service has as that service's."""
    asked = {"digests": [item.digest for item in contents], "origin": service.name}
    return dict(local.post("/v1/evidence/inputs", asked)["inputs"])


def kept_at(rig: Rig, service: Service, epoch: int = 1) -> Path:
    return rig.folder / "data" / "logs" / service.name / f"{epoch:06d}"


async def test_what_a_log_names_is_brought_once_and_found_under_its_name(
    rig: Rig, local: Api, service: Service
) -> None:
    inputs = [query("ann"), query("ann", "customers"), connect("ben")]
    snapshot, unnamed = data(3), query("nobody")
    named = [of_input(item.digest) for item in inputs]
    await logged(service, [*named, *named, of_data(3, snapshot.digest)], [*inputs, snapshot, unnamed])
    said = await brought(service)
    assert said == Wanted([], 0, "")
    have = found(local, service, *inputs, unnamed)
    assert {digest: document.encode(item["input"]) for digest, item in have.items()} == {
        item.digest: item.body for item in inputs
    }
    assert not any(item["withheld"] for item in have.values())
    answer = local.get("/v1/evidence/data/3", {"at": rig.now.now_ns(), "origin": service.name})
    assert (answer["digest"], document.encode(answer["data"])) == (snapshot.digest, snapshot.body)
    # It answers for this log alone, and the folder is whole by itself.
    assert local.post("/v1/evidence/inputs", {"digests": [inputs[0].digest]})["inputs"] == {}
    with pytest.raises(NotFoundError):
        local.get("/v1/evidence/data/3", {"at": rig.now.now_ns()})
    with Evidence(kept_at(rig, service), read_only=True) as copy:
        assert copy.question(inputs[2].digest).value["identity"]["user"] == "ben"
    assert messages(local, service) == []


async def test_what_was_lost_on_either_side_comes_again(rig: Rig, local: Api, service: Service) -> None:
    first, late, gone = query("ann"), query("ben"), query("cat")
    await logged(service, [of_input(item.digest) for item in (first, late, gone)], [first])
    said = await brought(service)
    assert (list(said.digests), said.left) == ([], 2)  # what the service has not got is not asked at once
    (kept_at(rig, service) / FILE).unlink()
    with Evidence(service.log) as evidence:
        evidence.write([late], [])
    assert (await brought(service)).left == 1
    assert found(local, service, first, late, gone).keys() == {first.digest, late.digest}
    rig.now.ahead_seconds += 61
    with Evidence(service.log) as evidence:
        evidence.write([gone], [])
    assert await brought(service) == Wanted([], 0, "")
    assert found(local, service, gone)


async def test_what_is_never_found_is_given_up_until_a_record_names_it_again(
    rig: Rig, local: Api, service: Service
) -> None:
    lost = query("ann")
    await logged(service, [of_input(lost.digest)])
    tries = 0
    async with service.remote() as remote:
        for _ in range(10):
            rig.now.ahead_seconds += 86_400
            tries += bool((await remote.evidence_wanted())["wanted"])
            await remote.bring_evidence(parcel.encode(Parcel((), [lost.digest])))
        assert (tries, (await remote.evidence_wanted())["left"]) == (6, 0)
    await logged(service, [of_input(lost.digest)], [lost])
    await brought(service)
    assert found(local, service, lost)


async def test_a_service_that_begins_anew_gets_what_its_old_copy_has(
    rig: Rig, local: Api, service: Service
) -> None:
    item = query("ann")
    await logged(service, [of_input(item.digest)], [item])
    await brought(service)
    shutil.rmtree(service.log)
    await logged(service, [of_input(item.digest)])
    assert await brought(service) == Wanted([], 0, "")
    for epoch in (1, 2):
        with Evidence(kept_at(rig, service, epoch), read_only=True) as copy:
            assert copy.question(item.digest).value["session"]["user"] == "ann"


async def test_secrets_are_withheld_here_if_the_service_did_not(
    rig: Rig, local: Api, service: Service
) -> None:
    whole, withheld = setting("ann"), without_secrets(*_pair(setting("ben")))
    await logged(service, [of_input(item.digest) for item in (whole, withheld)])
    async with service.remote() as remote:
        await remote.evidence_wanted()
        await remote.bring_evidence(parcel.encode(Parcel([whole, withheld], ())))
    have = found(local, service, whole, withheld)
    for item in (whole, withheld):
        assert have[item.digest]["withheld"]
        assert have[item.digest]["input"]["statements"][0]["settings"][0]["value"] == "(withheld)"
    assert messages(local, service) == []


def _pair(item: Content) -> tuple[str, bytes]:
    return item.digest, item.body


def _injected() -> Content:
    body = b'{"session":{}},"withheld":false},"' + b"0" * 64 + b'":{"input":{"session":{}}'
    return Content(document.digest(body), body)


def _named(body: bytes) -> Content:
    return Content(document.digest(body), body)


FORGED = {
    "another content": Content(query("ann").digest, query("eve").body),
    "no JSON, and a digest of its own": _injected(),
    "not canonical": _named(b'{"identity": {}}'),
    "no question": _named(b'{"identity":[]}'),
    "a statement without its parts": _named(
        document.encode({"session": json.loads(query("ann").body)["session"], "statements": [{}]})
    ),
    "a session without its parts": _named(b'{"session":{},"statements":[]}'),
    "settings of another form": _named(query("x").body.replace(b'"settings":[]', b'"settings":[1]')),
    "nothing was to be withheld": Content("0" * 64, query("ann").body, is_withheld=True),
    "less was withheld than must be": Content("1" * 64, setting("ann").body, is_withheld=True),
    "deep": _named(b'{"identity":' + b"[" * 5000 + b"]" * 5000 + b"}"),
}


@pytest.mark.parametrize("name", FORGED)
async def test_what_is_not_what_the_log_named_is_refused_and_a_finding(
    rig: Rig, local: Api, service: Service, name: str
) -> None:
    forged, good = FORGED[name], query("good")
    await logged(service, [of_input(item.digest) for item in (forged, good)])
    async with service.remote() as remote:
        await remote.evidence_wanted()
        for _ in range(2):
            said = await remote.bring_evidence(parcel.encode(Parcel([forged, good], ())))
        assert said["wanted"] == []
    assert found(local, service, forged, good).keys() == {good.digest}
    assert [item["ok"] for item in about(local, service)] == [False]
    assert messages(local, service) == [evidence_intake._FORGED]
    local.post("/v1/audit/settle", {"origin": service.name, "reason": "its disk was damaged"})
    assert [item["ok"] for item in about(local, service)] == [True]


async def test_data_are_taken_as_documents_only_and_too_long_inputs_not_at_all(
    local: Api, service: Service
) -> None:
    bad, long = _named(b"[1]"), _named(document.encode({"identity": {"user": "x" * MOST_INPUT}}))
    withheld = Content("2" * 64, data(4).body, is_withheld=True)
    events = [of_data(3, bad.digest), of_data(4, withheld.digest), of_input(long.digest)]
    await logged(service, events, [bad, long])
    async with service.remote() as remote:
        await remote.evidence_wanted()
        await remote.bring_evidence(parcel.encode(Parcel([long], ())))
        assert messages(local, service) == []
        await remote.bring_evidence(parcel.encode(Parcel([bad, withheld], ())))
    for revision in (3, 4):
        with pytest.raises(NotFoundError, match="nothing was kept"):
            local.get(f"/v1/evidence/data/{revision}", {"at": 1, "origin": service.name})
    assert found(local, service, long) == {}
    assert messages(local, service) == [evidence_intake._FORGED]


async def test_a_bundle_is_taken_from_the_auth_services_own_and_from_no_service(
    rig: Rig, local: Api, service: Service
) -> None:
    own, planted = _named(b"the cluster's bundle"), _named(b"a bundle of theirs")
    adopted = [
        event(Kind.POLICY_ADOPT, policy_revision=name, policy_digest=item.digest, data_revision=1)
        for name, item in (("1-own", own), ("2-planted", planted))
    ]
    with Evidence(rig.folder / "data" / "audit") as evidence:
        evidence.write([own], [Revision("policy", "1-own", own.digest, 1)])
    await logged(service, adopted, [own, planted])
    assert await brought(service) == Wanted([], 0, "")
    async with service.remote() as remote:
        await remote.bring_evidence(parcel.encode(Parcel([planted], ())))
    about_own = local.get("/v1/evidence/policy/1-own", {"at": rig.now.now_ns(), "origin": service.name})
    assert about_own["digest"] == own.digest
    with pytest.raises(NotFoundError):
        local.get("/v1/evidence/policy/2-planted", {"at": rig.now.now_ns(), "origin": service.name})


async def test_a_service_brings_what_was_asked_for_and_no_other(
    rig: Rig, local: Api, service: Service, tmp_path: Path
) -> None:
    other = enrolled(rig, tmp_path / "other", f"decides-{next(NUMBERS)}")
    named, unnamed = query("ann"), query("eve")
    await logged(service, [of_input(named.digest)])
    await logged(other, [event()])
    async with other.remote() as remote:
        said = await remote.bring_evidence(parcel.encode(Parcel([named, unnamed], ())))
    assert said == {"wanted": [], "left": 0, "full": ""}
    for each in (service, other):
        assert found(local, each, named, unnamed) == {}
    assert messages(local, other) == []


async def test_a_service_brings_no_more_than_its_share(
    rig: Rig, local: Api, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = query("ann")
    await logged(service, [of_input(item.digest)], [item])
    for name, words in (("A_DAY", "more than a service brings"), ("FULL_PERCENT", "% full")):
        with monkeypatch.context() as patched:
            patched.setattr(evidence_intake, name, 0)
            patched.setattr(evidence_intake, "FOR_ITS_LOG", 0)
            said = await brought(service)
            assert words in said.full
            async with service.remote() as remote:
                await remote.bring_evidence(parcel.encode(Parcel([item], ())))
            assert found(local, service, item) == {}
    assert await brought(service) == Wanted([], 0, "")
    assert found(local, service, item)


async def test_what_is_no_parcel_is_refused(local: Api, service: Service) -> None:
    await logged(service, [event()])
    item = query("ann")
    whole = parcel.encode(Parcel([item], ()))
    unfolded = zlib.decompress(whole)
    bodies = [
        b"",
        b"{}",
        whole[:-4],
        whole + b"x",
        zlib.compress(b"[]"),
        zlib.compress(b"[" * 100_000),
        zlib.compress(unfolded + b"x"),
        zlib.compress(b'{"items":[],"missing":["../x"]}\n'),
        zlib.compress(b'{"items":[["' + b"a" * 64 + b'",false,-1]],"missing":[]}\n'),
        zlib.compress(b'{"items":[["' + b"a" * 64 + b'",0,0]],"missing":[]}\n'),
        zlib.compress(b'{"items":[],"missing":[' + b",".join([b'"%b"' % (b"a" * 64)] * 501) + b"]}\n"),
        zlib.compress(bytes(parcel.MOST_UNFOLDED + 1)),
    ]
    async with service.remote() as remote:
        for body in bodies:
            with pytest.raises(ConfigError, match="parcel"):
                await remote.bring_evidence(body)
    assert messages(local, service) == []


async def test_only_a_service_with_a_log_is_asked(
    rig: Rig, stranger: Api, local: Api, service: Service
) -> None:
    for api in (stranger, local):
        with pytest.raises(RegateError, match="the host certificate of a service"):
            api.get("/v1/log/evidence")
    async with service.remote() as remote:
        with pytest.raises(NotFoundError, match="no log of"):
            await remote.evidence_wanted()
    await logged(service, [event()])
    local.delete(f"/v1/agents/{service.name}")
    async with service.remote() as remote:
        with pytest.raises(RegateError, match="not part of the cluster"):
            await remote.evidence_wanted()


async def test_a_file_that_was_looked_through_for_another_copy_is_looked_through_again(
    rig: Rig, local: Api, service: Service
) -> None:
    item = query("ann")
    await logged(service, [of_input(item.digest)], [item])
    await brought(service)
    with sqlite3.connect(kept_at(rig, service) / FILE) as database:
        database.execute("UPDATE read SET records = 1000")
        database.execute("DELETE FROM content")
    database.close()
    await brought(service)
    assert found(local, service, item)
