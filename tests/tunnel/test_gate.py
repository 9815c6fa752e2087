"""Forged, borrowed and worn-out session certificates at a database service: each is refused, and says why."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.ca import identity, issue
from gateway.ca.keys import Authorities
from gateway.errors import CertificateError
from gateway.model.identity import Identity
from gateway.tunnel.gate import Gate
from tests.ca.material import CLUSTER, NOW, ROUTE, authorities, login, new_key, parsed

AGENT = "db-1"
MINUTES = timedelta(minutes=6)


def route_certificate(of: Authorities | None = None, now: datetime = NOW) -> x509.Certificate:
    known = of or authorities()
    who = identity.from_certificate(login(known, now=now), now=now)
    issued = issue.issue_database(
        known.user,
        identity=who,
        route=ROUTE,
        public_key=new_key().public_key(),
        ttl=timedelta(hours=1),
        now=now,
    )
    return parsed(issued.pem)


def session(of: Authorities | None = None, agent: str = AGENT, now: datetime = NOW) -> x509.Certificate:
    known = of or authorities()
    issued = issue.issue_session(
        known.user,
        identity=identity.from_certificate(route_certificate(known, now), now=now),
        agent=agent,
        client_address="192.0.2.7:4711",
        public_key=new_key().public_key(),
        now=now,
    )
    return parsed(issued.pem)


def admit(gate: Gate, certificate: x509.Certificate, now: datetime = NOW) -> Identity:
    der = certificate.public_bytes(Encoding.DER)
    return gate.admit(der, [authorities().user.certificate], now)


def gate() -> Gate:
    return Gate(AGENT, CLUSTER)


def test_a_session_is_admitted_with_its_route_and_address() -> None:
    found = admit(gate(), session())
    assert (found.user, found.route, found.client_address) == ("ada", ROUTE, "192.0.2.7:4711")
    assert found.expires - NOW <= timedelta(minutes=5)
    assert found.login_expires == NOW + timedelta(hours=8)


def host(service: str) -> x509.Certificate:
    issued = issue.issue_host(
        authorities().host,
        names=["proxy-1"],
        public_key=new_key().public_key(),
        ttl=timedelta(hours=1),
        now=NOW,
        service=service,
    )
    return parsed(issued.pem)


@pytest.mark.parametrize(
    ("forged", "says"),
    [
        (lambda: host("proxy"), "is not signed by the user authority"),
        (lambda: host("db"), "is not signed by the user authority"),
        (lambda: session(agent="db-2"), "this session is for db-2, this is db-1"),
        (lambda: session(authorities("elsewhere")), "is not signed by the user authority"),
        (login, "a user certificate was shown where a session one is needed"),
        (route_certificate, "a database certificate was shown where a session one is needed"),
    ],
)
def test_whatever_is_no_session_for_this_service_is_refused(
    forged: Callable[[], x509.Certificate], says: str
) -> None:
    with pytest.raises(CertificateError, match=says):
        admit(gate(), forged())


def test_an_expired_session_is_refused_and_one_from_the_future() -> None:
    with pytest.raises(CertificateError, match="expired"):
        admit(gate(), session(), NOW + MINUTES)
    with pytest.raises(CertificateError, match="check the clocks"):
        admit(gate(), session(), NOW - MINUTES)


def test_a_session_opens_once_for_as_long_as_its_certificate_lasts() -> None:
    once, certificate = gate(), session()
    admit(once, certificate)
    for moment in (NOW, NOW + timedelta(minutes=4, seconds=59)):
        with pytest.raises(CertificateError, match="works once"):
            admit(once, certificate, moment)
    admit(once, session())


def test_what_is_remembered_of_sessions_ends_with_them() -> None:
    once = gate()
    for number in range(20):
        now = NOW + number * MINUTES
        admit(once, session(now=now), now)
    assert len(once._seen) == 1


def test_nobody_gets_in_without_a_certificate() -> None:
    with pytest.raises(CertificateError, match="no certificate was shown"):
        gate().admit(None, [authorities().user.certificate], NOW)
