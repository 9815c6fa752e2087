"""A service that was taken over repeats ids of other logs: commands say so, and never choose its record."""

import asyncio
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.ship import origin_of
from gateway.cli.policy import sources
from gateway.clock import new_id
from gateway.model.event import Event, Kind
from gateway.model.identity import Subject
from gateway.policy import document
from gateway.policy.evidence import Content, Evidence, Revision
from tests.api.rig import Rig
from tests.api.services import Service, enrolled, log_key, shipped
from tests.audit.rig import event, opened
from tests.cli.conftest import Person

OWN = "test/audit"
DECISION = new_id(1_700_000_000_000_000_000)


def decided(what: str, **more: Any) -> dict[str, Any]:
    """The fields of a decision whose text and input are of *what*."""
    return {
        "decision_id": DECISION,
        "session_id": "s",
        "user": "ann",
        "database": "orders",
        "db_user": "ann",
        "db_name": "app",
        "input_digest": document.digest(what.encode()),
        "verdict": "allowed",
        "reasons": [{"code": "granted", "message": what}],
        "policy_revision": "p",
        "data_revision": 1,
        "statement": what,
        **more,
    }


def logged(service: Service, *events: Event) -> None:
    """What the service writes into its log, and ships."""

    async def write() -> None:
        service.log.parent.mkdir(exist_ok=True)
        origin = origin_of("test", service.name)
        async with opened(service.log, key=log_key(service.log), origin=origin) as log:
            await log.append(list(events))
        await shipped(service)

    asyncio.run(write())


@pytest.fixture(scope="module")
def hostile(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service whose log repeats, later, the id of a decision in the own log."""
    service = enrolled(rig, tmp_path_factory.mktemp("hostile") / "service", "hostile")
    fields = {name: value for name, value in decided("honest").items() if name != "user"}
    rig.wait(lambda: rig.auth.record(Kind.SESSION_QUERY, Subject("local", "ann"), **fields))
    logged(service, event(Kind.SESSION_QUERY, **decided("hostile")))
    return service


COMMANDS = [("audit", "prove"), ("policy", "explain")]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_id_of_two_logs_is_not_answered_before_somebody_says_which(
    admin: Person, hostile: Service, command: tuple[str, str]
) -> None:
    done = admin.run(*command, DECISION)
    assert done.code == 2
    assert f"stands in 2 logs: {OWN}, {origin_of('test', hostile.name)}" in done.err
    assert "--origin=LOG" in done.err
    for origin, what in ((OWN, "honest"), (hostile.name, "hostile")):
        done = admin.run(*command, DECISION, f"--origin={origin}")
        assert done.code == 4, "its input was not kept"
        said = document.digest(what.encode()) if command[0] == "audit" else DECISION
        assert said in done.err
        assert "was not kept" in done.err


def test_both_are_listed_with_their_logs(admin: Person, hostile: Service) -> None:
    found = [
        json.loads(line) for line in admin.ok("audit", "ls", "--session=s", "--format=json").splitlines()
    ]
    assert {(record["origin"], record["fields"]["statement"]) for record in found} == {
        (OWN, "honest"),
        (origin_of("test", hostile.name), "hostile"),
    }
    assert "hostile" not in admin.ok("audit", "ls", "--session=s", "--origin=.")


def test_a_log_that_repeats_its_own_id_is_a_finding(admin: Person, rig: Rig, tmp_path: Path) -> None:
    service = enrolled(rig, tmp_path / "service", "repeating")
    fields = decided("first", decision_id=new_id(1_700_000_000_000_000_001), session_id="r")
    other = {**fields, "verdict": "denied"}
    logged(service, event(Kind.SESSION_QUERY, **fields), event(Kind.SESSION_DENIED, **other))
    done = admin.run("audit", "prove", fields["decision_id"])
    assert (done.code, "do not say the same" in done.err) == (10, True)


MENTIONS: dict[str, dict[str, Any]] = {
    "a trial that differed": {"input_digest": "x", "verdict": "allowed", "policy_revision": "p"},
    "in no form of ours": {**decided("x"), "reasons": [5]},
    "without even reasons of a form": {"verdict": "denied", "reasons": 5},
}


@pytest.mark.parametrize("what", MENTIONS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_record_that_only_mentions_a_decision_is_passed_over(
    admin: Person, rig: Rig, tmp_path: Path, command: tuple[str, str], what: str
) -> None:
    service = enrolled(rig, tmp_path / "service", f"{command[1]}-{sorted(MENTIONS).index(what)}")
    fields = decided("true", decision_id=new_id(1_700_000_000_000_000_002))
    mention = {**MENTIONS[what], "user": "ann", "database": "orders", "decision_id": fields["decision_id"]}
    logged(service, event(Kind.SESSION_QUERY, **fields), event(Kind.POLICY_SHADOW, **mention))
    done = admin.run(*command, fields["decision_id"], f"--origin={service.name}")
    said = fields["input_digest"] if command[0] == "audit" else fields["decision_id"]
    assert (done.code, said in done.err, "was not kept" in done.err) == (4, True, True)


def test_a_folder_holds_one_log(admin: Person) -> None:
    done = admin.run("audit", "prove", DECISION, "--dir=.", f"--origin={OWN}")
    assert (done.code, "--origin goes with the logs of a cluster" in done.err) == (2, True)


def bundle(revision: str) -> bytes:
    """A bundle that holds nothing but its name."""
    packed, text = io.BytesIO(), revision.encode()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo(f"gateway/{revision}.rego")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return packed.getvalue()


def test_the_policies_in_force_are_those_that_the_own_log_says(rig: Rig, hostile: Service) -> None:
    """A service that says that an older revision was loaded brings it back in no command."""
    made = {name: bundle(name) for name in ("now", "before")}
    contents = [Content(document.digest(body), body) for body in made.values()]
    revisions = [Revision("policy", name, item.digest, 1) for name, item in zip(made, contents, strict=True)]
    with Evidence(rig.folder / "data" / "audit") as kept:
        kept.write(contents, revisions)
    rig.wait(lambda: rig.auth.record(Kind.POLICY_LOAD, Subject("local", "test"), policy_revision="now"))
    logged(hostile, event(Kind.POLICY_LOAD, policy_revision="before"))
    with sources.opened(sources.LIVE, str(rig.config), "") as live:
        assert [path.name for path in live.shipped.rglob("*.rego")] == ["now.rego"]
