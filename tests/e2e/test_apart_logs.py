"""The logs of services apart, at the auth service: by the commands that an auditor types."""

import json
import shutil
from typing import Any

import psycopg
import pytest

from tests.e2e.apart import Service, apart
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.conftest import furnish

pytestmark = pytest.mark.db


def reports(cluster: Cluster, service: Service) -> list[dict[str, Any]]:
    """What `audit verify` says about the service's log."""
    said = json.loads(cluster.admin("audit", "verify", "--format=json", check=False).stdout)
    return [item for item in said["origins"] if item["origin"] == f"e2e/{service.id}/audit"]


def kinds(cluster: Cluster, service: Service) -> list[str]:
    found = cluster.admin("audit", "ls", "--all", "--format=json", f"--origin={service.id}", check=False)
    return [json.loads(line)["kind"] for line in found.stdout.splitlines()]


def test_what_a_service_recorded_is_at_the_auth_service_and_stays_there() -> None:
    with apart() as (cluster, services):
        service = services[0]
        furnish(cluster)
        access = cluster.users["alice"].access("alice", "mydb")
        with psycopg.connect(access.conninfo) as session:
            assert session.execute("select count(*) from app.orders").fetchone() == (3,)
        for _ in eventually("the session is at the auth service", seconds=20):
            if "db.session.end" in kinds(cluster, service):
                break
        assert "db.session.query" in kinds(cluster, service)
        (report,) = reports(cluster, service)
        assert (report["ok"], report["findings"]) == (True, [])
        said = cluster.admin("audit", "verify").stdout
        assert f"e2e/{service.id}/audit is whole" in said
        assert "e2e/audit is whole" in said

        service.kill()
        before = len(kinds(cluster, service))
        shutil.rmtree(service.audit)
        service.start()
        for _ in eventually("the new beginning", seconds=30):
            if len(reports(cluster, service)) == 2:
                break
        done = cluster.admin("audit", "verify", check=False)
        assert done.code == 10
        assert f"log restarted at 0, {before} records expected" in done.stdout
        assert len(kinds(cluster, service)) >= before
        cluster.admin("audit", "settle", service.id, "--reason=the disk was replaced")
        assert cluster.admin("audit", "verify", check=False).code == 0

        # Emptied under a service that runs: from then on nothing could be kept, so nothing is done.
        for path in service.audit.iterdir():
            path.unlink()
        with pytest.raises(psycopg.OperationalError, match="no such file or directory"):
            psycopg.connect(access.conninfo)
        service.stop()
        service.start()
        for _ in eventually("the third beginning", seconds=30):
            if len(reports(cluster, service)) == 3:
                break
        done = cluster.admin("audit", "verify", check=False)
        assert done.code == 10
        assert "log restarted at 0" in done.stdout
