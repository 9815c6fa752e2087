"""Services elsewhere learn the authorities of the moment, and get certificates of them, while they serve."""

import json
from collections.abc import Iterator

import psycopg
import pytest

from tests.e2e.apart import Service, apart
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.conftest import furnish

pytestmark = pytest.mark.db


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Cluster, list[Service]]]:
    with apart(1) as found:
        furnish(found[0])
        yield found


def _connects(cluster: Cluster) -> None:
    with psycopg.connect(cluster.users["alice"].access("alice", "mydb").conninfo) as session:
        session.execute("select 1")


@pytest.mark.parametrize("kind", ["user", "host"])
def test_a_service_elsewhere_lives_through_a_rotation(pair: tuple[Cluster, list[Service]], kind: str) -> None:
    cluster, services = pair
    alice = cluster.users["alice"]
    with psycopg.connect(alice.access("alice", "mydb").conninfo, autocommit=True) as session:
        for phase in ("init", "update-clients", "update-servers"):
            cluster.admin("auth", "rotate", f"--type={kind}", f"--phase={phase}")
            alice.regate("status")
            _connects(cluster)
        following = json.loads(cluster.admin("auth", "rotate", "status", "--format=json").stdout)
        signer = next(
            one["key_id"]
            for item in following
            if item["type"] == kind
            for one in item["authorities"]
            if one["role"] == "next"
        )
        if kind == "host":
            for _ in eventually("the service has a certificate of the new authority", seconds=30):
                if any(signer in line for line in _issuers(services[0])):
                    break
        if kind == "user":
            alice.login()  # with another host authority, the pin to give is another
        cluster.admin("auth", "rotate", f"--type={kind}", "--phase=standby")
        assert session.execute("select 1").fetchone() == (1,)
    for _ in eventually("sessions go through the service still", seconds=30):
        try:
            _connects(cluster)
        except psycopg.OperationalError:
            continue
        break


def _issuers(service: Service) -> list[str]:
    """Key ids of the issuers of whatever certificates the service keeps."""
    from cryptography import x509  # noqa: PLC0415 # only here

    found = []
    for path in service.folder.rglob("*.json"):
        certificate = json.loads(path.read_text()).get("certificate", "")
        if "BEGIN CERTIFICATE" in certificate:
            parsed = x509.load_pem_x509_certificate(certificate.encode())
            extension = parsed.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
            found.append((extension.value.key_identifier or b"").hex())
    return found
