"""Statements that a database service elsewhere recorded sealed, or as a digest, read at the auth service."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.analysis.replaying import Gathered
from gateway.audit import wording
from gateway.audit.ship import origin_of
from gateway.audit.wording import Wording
from gateway.cli.client import Api, SocketEndpoint
from gateway.cli.policy.judging_again import Again
from gateway.cli.policy.past import recorded
from gateway.clock import SystemClock, new_id
from gateway.errors import PolicyError
from gateway.model.classification import Classification
from gateway.model.decision import Allowed, Reason, Revisions
from gateway.model.event import Kind
from gateway.model.statement import NameContext, Statement
from gateway.policy import document
from gateway.policy.client import PolicyClient
from gateway.policy.evidence import Content, Evidence
from gateway.protocols import REGISTRY
from gateway.services.evidence_shipper import EvidenceShipper, Pace
from gateway.session import record_fields
from gateway.texts import Texts
from tests.api.rig import Rig
from tests.api.services import Service, enrolled, log_key, shipped
from tests.audit.rig import event, opened
from tests.cli.conftest import Person
from tests.policy import documents

TEXT = "select id from app.orders where id = 4711"


def facts() -> Classification:
    (item,) = REGISTRY["postgres"].classify(
        Statement(TEXT, "postgres", NameContext("", ""), server_version="15.0")
    )
    return item


def asked(user: str, item: Classification) -> Content:
    """What the policy was asked about it: facts, and no text."""
    session = json.loads(documents.session(user, "db-access").content)
    body = document.encode({"session": session, "statements": [item.to_json()]})
    return Content(document.digest(body), body)


def decided(item: Classification, given: Content, mode: Wording) -> dict[str, Any]:
    """What a service records of a statement that was let through, in the words of its mode."""
    decision = Allowed(
        new_id(SystemClock().now_ns()),
        Revisions("p", 1),
        reasons=(Reason("granted", role="db-access"),),
        roles=("db-access",),
        input_digest=given.digest,
    )
    who = {"session_id": given.digest[:8], "user": "ann", "roles": ["db-access"], "database": "orders-db"}
    place = {"db_user": "analyst", "db_name": "appdb", "client_address": "127.0.0.1:1", "phase": "query"}
    return {**who, **place, **record_fields.statement(item, mode), **record_fields.verdict(decision)}


def logged(service: Service, records: Sequence[Mapping[str, Any]], kept: Sequence[Content]) -> None:
    """What the service records, keeps, ships and brings."""

    async def write() -> None:
        service.log.parent.mkdir()
        origin = origin_of("test", service.name)
        async with opened(service.log, key=log_key(service.log), origin=origin) as log:
            await log.append([event(Kind.SESSION_QUERY, **fields) for fields in records])
        with Evidence(service.log) as evidence:
            evidence.write(kept, [])
        await shipped(service)
        async with service.remote() as remote:
            await EvidenceShipper(service.log, remote, pace=Pace(between=0.0)).once()

    asyncio.run(write())


def listed(admin: Person, service: Service, *more: str) -> list[dict[str, Any]]:
    said = admin.ok("audit", "ls", f"--origin={service.name}", "--format=json", *more)
    return [json.loads(line)["fields"] for line in said.splitlines()]


def test_a_service_elsewhere_seals_and_the_auditor_reads_at_the_auth_service(
    rig: Rig, admin: Person, tmp_path: Path
) -> None:
    service = enrolled(rig, tmp_path / "service", "seals")
    public = admin.ok("audit", "keygen", "--out=auditor.key").strip()
    mode = wording.of(Texts("sealed", (public,)), rig.authorities.mask_salt, origin_of("test", service.name))
    given = asked("ann", facts())
    logged(service, [decided(facts(), given, mode)], [given])
    (closed,) = listed(admin, service)
    assert "4711" not in json.dumps(closed)
    (read,) = listed(admin, service, "--identity-file=auditor.key")
    assert read["statement"] == TEXT
    copy = rig.folder / "data" / "logs" / service.name / "000001"
    with Evidence(copy, read_only=True) as brought:
        assert b"4711" not in brought.content(given.digest)


def test_a_service_elsewhere_records_digests_and_the_auth_service_finds_them(
    rig: Rig, admin: Person, tmp_path: Path
) -> None:
    """Each log has a key of its own: what one service learns of digests tells nothing of another's log."""
    services = [enrolled(rig, tmp_path / name, name) for name in ("prints-1", "prints-2")]
    for service in services:
        origin = origin_of("test", service.name)
        mode = wording.of(Texts("fingerprint"), rig.authorities.mask_salt, origin)
        given = asked("ann", facts())
        logged(service, [decided(facts(), given, mode)], [given])
    digests = json.loads(admin.ok("audit", "digest", "-", "--format=json", stdin=TEXT))
    assert len(set(digests.values())) == len(digests)
    for service in services:
        (found,) = listed(admin, service, f"--text={digests[origin_of('test', service.name)]}")
        assert "4711" not in json.dumps(found)


class Silent:
    """Answers nothing, so that whatever can be asked comes out refused."""

    async def ask_raw(self, path: str, _body: bytes, _seconds: float) -> Any:
        raise PolicyError(f"no answer about {path}")


MODES = {"sealed": Texts("sealed", (wording.new_identity()[1],)), "fingerprint": Texts("fingerprint")}


@pytest.mark.parametrize("mode", MODES)
def test_a_replay_judges_what_was_brought_and_counts_what_was_not(
    rig: Rig, tmp_path: Path, mode: str
) -> None:
    service = enrolled(rig, tmp_path / "service", f"replays-{mode}")
    origin = origin_of("test", service.name)
    words = wording.of(MODES[mode], rig.authorities.mask_salt, origin)
    brought, lost = asked("ann", facts()), asked("ben", facts())
    logged(service, [decided(facts(), given, words) for given in (brought, lost)], [brought])
    every, kept = recorded(Api(SocketEndpoint(rig.socket)), "")
    found = Gathered({key: past for key, past in every.decisions.items() if past.origin == origin})
    again = Again(cast("PolicyClient", Silent()), found, kept, lambda _done, _of: None)
    decisions = list(found.decisions.values())
    outcomes = asyncio.run(again.judge(decisions))
    judged = {past.digest: outcome is not None for past, outcome in zip(decisions, outcomes, strict=True)}
    assert judged == {brought.digest: True, lost.digest: False}
    assert list(found.left_out.values()) == [1]
    assert not any("4711" in past.statement for past in decisions)
