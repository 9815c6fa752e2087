"""The services apart: a session through proxy and database service, and what stands in between."""

from collections.abc import Iterator

import psycopg
import pytest

from gateway.model.event import Kind
from tests.e2e.apart import Service, apart
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.conftest import furnish

pytestmark = pytest.mark.db


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Cluster, Service]]:
    with apart() as (cluster, services):
        furnish(cluster)
        yield cluster, services[0]


def test_a_session_goes_through_the_tunnel_and_is_decided_and_recorded_at_the_service(
    pair: tuple[Cluster, Service],
) -> None:
    cluster, service = pair
    access = cluster.users["alice"].access("alice", "mydb")
    with psycopg.connect(access.conninfo) as session:
        assert session.execute("select count(*) from app.orders").fetchone() == (3,)
    for _ in eventually("the end is recorded at the service"):
        if service.records()[-1].kind is Kind.SESSION_END:
            break
    written = service.records()
    kinds = [event.kind for event in written]
    assert kinds[:2] == [Kind.SERVICE_START, Kind.POLICY_DATA]
    assert {Kind.SESSION_START, Kind.SESSION_QUERY, Kind.SESSION_QUERY_END} <= set(kinds)
    started = next(event for event in written if event.kind is Kind.SESSION_START)
    assert started.fields["user"] == "alice"
    assert started.fields["client_address"].startswith("127.0.0.1:")
    minted = [item["fields"] for item in cluster.audit("--kind=cert.create") if "agent" in item["fields"]]
    assert {item["use"] for item in minted if item.get("user") == "alice"} == {"session", "db-client"}
    assert [item["kind"] for item in cluster.audit() if item["kind"].startswith("db.session")] == []
