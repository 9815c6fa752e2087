"""The logs of services apart, at the auth service: by the commands that an auditor types."""

import json
import shutil
from typing import Any

import psycopg
import pytest

from gateway.cli.client import Api, SocketEndpoint
from gateway.policy.evidence import FILE
from tests.e2e.apart import Service, apart
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.conftest import furnish

pytestmark = pytest.mark.db


def reports(cluster: Cluster, service: Service) -> list[dict[str, Any]]:
    """What `audit verify` says about the service's log."""
    said = json.loads(cluster.admin("audit", "verify", "--format=json", check=False).stdout)
    return [item for item in said["origins"] if item["origin"] == f"e2e/{service.id}/audit"]


def of(cluster: Cluster, service: Service) -> list[dict[str, Any]]:
    """What `audit ls` tells of the service's log."""
    found = cluster.admin("audit", "ls", "--all", "--format=json", f"--origin={service.id}", check=False)
    return [json.loads(line) for line in found.stdout.splitlines()]


def visited(cluster: Cluster, services: list[Service]) -> list[dict[str, Any]]:
    """Sessions until each service has had one, and the auth service has heard of it; all its records."""
    access = cluster.users["alice"].access("alice", "mydb")
    wanted = {f"e2e/{service.id}/audit" for service in services}
    for _ in eventually("a session of each service is at the auth service", seconds=60):
        for _ in range(4):
            with psycopg.connect(access.conninfo) as session:
                assert session.execute("select count(*) from app.orders").fetchone() == (3,)
        heard = cluster.audit()
        if wanted <= {item["origin"] for item in heard if item["kind"] == "db.session.end"}:
            return heard
    raise AssertionError


def proof(cluster: Cluster, decision: str, *more: str) -> dict[str, Any]:
    """What `audit prove` says about a decision that it must prove."""
    said = cluster.admin("audit", "prove", decision, "--format=json", *more)
    found: dict[str, Any] = json.loads(said.stdout)
    assert (found["proved"], found["findings"], found["withheld"]) == (True, [], False)
    return found


def judged_at_the_auth_service(cluster: Cluster, services: list[Service]) -> str:
    """A decision of the first one; all are replayed, and this one explained, at the auth service.

    Twice: what the auth service lost of what services decided from comes again.
    """
    service = services[0]
    queries = [line["fields"] for line in heard_of(cluster, service) if line["kind"] == "db.session.query"]
    decision = str(queries[0]["decision_id"])
    brought(cluster, services)
    copy = cluster.folder / "data" / "logs" / service.id / "000001"
    (copy / FILE).unlink()
    access, before = cluster.users["alice"].access("alice", "mydb"), len(heard_of(cluster, service))
    for _ in eventually("the service has decided something more", seconds=60):
        psycopg.connect(access.conninfo).close()
        if len(heard_of(cluster, service)) > before:
            break
    brought(cluster, services)
    assert proof(cluster, decision, f"--dir={service.audit}")["verdict"] == "allowed"  # where it was made
    replayed = json.loads(cluster.admin("policy", "replay", "live", "--format=json").stdout)
    assert (replayed["changes"], replayed["summary"]["not_judged"]) == ([], {})
    assert replayed["summary"]["judged"] > 2 * len(services)
    said = cluster.admin("policy", "explain", decision).stdout
    assert queries[0]["statement"] in said
    return decision


def heard_of(cluster: Cluster, service: Service) -> list[dict[str, Any]]:
    """The service's records at the auth service, without a command of its own for it."""
    api = Api(SocketEndpoint(cluster.folder / "data" / "admin.sock"))
    return list(api.lines("/v1/audit", {"origin": service.id}))


def brought(cluster: Cluster, services: list[Service]) -> None:
    """Wait until every input that the shipped records name is there."""
    api = Api(SocketEndpoint(cluster.folder / "data" / "admin.sock"))
    for item in services:
        origin = f"e2e/{item.id}/audit"
        for _ in eventually("what the service decided from is at the auth service", seconds=90):
            named = {line["fields"].get("input_digest") for line in heard_of(cluster, item)} - {None, ""}
            kept = api.post("/v1/evidence/inputs", {"digests": sorted(named), "origin": origin})["inputs"]
            if named and kept.keys() == named:
                break


def test_one_of_two_services_is_killed_and_wiped_and_its_records_stay_at_the_auth_service() -> None:
    with apart(2) as (cluster, (service, other)):
        furnish(cluster)
        access = cluster.users["alice"].access("alice", "mydb")
        heard = visited(cluster, [service, other])
        every = {f"e2e/{service.id}/audit", f"e2e/{other.id}/audit", "e2e/audit"}
        assert {item["origin"] for item in heard} == every
        assert {item["origin"] for item in heard if item["kind"] == "db.session.query"} == every - {
            "e2e/audit"
        }
        said = cluster.admin("audit", "verify").stdout
        assert all(f"{origin} is whole" in said for origin in every)
        decision = judged_at_the_auth_service(cluster, [service, other])

        service.kill()
        before = len(of(cluster, service))
        shutil.rmtree(service.audit)
        with psycopg.connect(access.conninfo) as session:  # the other one serves and ships meanwhile
            assert session.execute("select 4711").fetchone() == (4711,)
        for _ in eventually("what the other one did meanwhile", seconds=20):
            if any("4711" in str(item["fields"].get("statement")) for item in of(cluster, other)):
                break
        service.start()
        for _ in eventually("the new beginning", seconds=30):
            if len(reports(cluster, service)) == 2:
                break
        done = cluster.admin("audit", "verify", check=False)
        assert done.code == 10
        assert f"log restarted at 0, {before} records expected" in done.stdout
        assert f"e2e/{other.id}/audit is whole" in done.stdout
        assert len(of(cluster, service)) >= before
        cluster.admin("audit", "settle", service.id, "--reason=the disk was replaced")
        assert cluster.admin("audit", "verify", check=False).code == 0
        # What it decided from before its disk was wiped is where it was brought to.
        found = proof(cluster, decision)
        assert (found["origin"], found["verdict"]) == (f"e2e/{service.id}/audit", "allowed")
        copy = cluster.folder / "data" / "logs" / service.id / "000001"
        assert proof(cluster, decision, f"--dir={copy}") == {**found, "origin": ""}

        # Emptied under a service that runs: from then on nothing could be kept, so nothing is done.
        for path in service.audit.iterdir():
            path.unlink()
        for _ in eventually("a session comes to the one without a log", seconds=40):
            try:
                psycopg.connect(access.conninfo).close()
            except psycopg.OperationalError as error:
                assert "no such file or directory" in str(error)  # noqa: PT017 # the other one takes some
                break
        service.stop()
        service.start()
        for _ in eventually("the third beginning", seconds=30):
            if len(reports(cluster, service)) == 3:
                break
        done = cluster.admin("audit", "verify", check=False)
        assert done.code == 10
        assert "log restarted at 0" in done.stdout
