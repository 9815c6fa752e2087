"""From start to stop: what monitoring is told, what sessions are told, and what is recorded last."""

import json
import urllib.request
from pathlib import Path

import psycopg
import pytest

from gateway.audit.read import Query, records
from gateway.model.event import Kind
from tests.e2e import cluster as clusters
from tests.e2e.conftest import furnish
from tests.servers.process import LOOPBACK, free_port, listens, temporary_folder

pytestmark = pytest.mark.db


def test_a_run_is_recorded_from_its_start_to_its_stop_and_monitoring_can_watch_it() -> None:
    with temporary_folder("regate-") as folder:
        port = free_port()
        regate = {"data_dir": str(folder / "data"), "cluster_name": "e2e", "diag_addr": f"{LOOPBACK}:{port}"}
        with clusters.running(folder, regate=regate) as running:
            furnish(running)
            assert {_core_limit(pid) for pid in (running.pid, *clusters.children(running.pid))} == {"0 0"}
            assert json.loads(_get(port, "readyz"))["ready"] is True
            with psycopg.connect(running.users["alice"].access("alice", "mydb").conninfo) as session:
                session.execute("select 1")
                assert 'regate_sessions{database="my-postgres",protocol="postgres"} 1.0' in _get(
                    port, "metrics"
                )
                assert running.stop() == 0
                with pytest.raises(psycopg.OperationalError, match="the gateway is being stopped"):
                    session.execute("select 2")
            assert not listens(port)
        kept = [item.event for item in records(folder / "data" / "audit", Query(oldest_first=True))]
    kinds = [event.kind for event in kept]
    assert kinds[:3] == [Kind.SERVICE_START, Kind.POLICY_DATA, Kind.POLICY_LOAD]
    assert kinds[-2:] == [Kind.SESSION_END, Kind.SERVICE_STOP]
    assert kept[0].fields["services"] == ["auth", "proxy", "db"]
    assert kept[-2].fields["reason"] == "service_stopping"
    decided = next(event for event in kept if event.kind is Kind.SESSION_START)
    assert kept[2].fields["policy_revision"] == decided.fields["policy_revision"] != ""


def _core_limit(pid: int) -> str:
    """How large a core file of a process may get, soft and hard: there are keys in it."""
    [line] = [each for each in Path(f"/proc/{pid}/limits").read_text().splitlines() if "core file" in each]
    return " ".join(line.split()[4:6])


def _get(port: int, page: str) -> str:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/{page}", timeout=10) as answer:
        return str(answer.read().decode())
