"""Who may say from whom a connection comes: a proxy of this cluster, about this connection, now."""

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.ca import issue
from gateway.ca.keys import Authorities
from gateway.ca.profile import Kind
from gateway.ca.ring import key_pem
from gateway.errors import CertificateError, ProtocolError
from gateway.tunnel.passing import HEAD, MAX_BODY, Passed, length_of, read, words
from tests.ca.material import NOW, authorities, minted_login, new_key, parsed

ADDRESS = "198.51.100.7:50000"
HELLO = b"\x16\x03\x01" + b"the client's first message" * 9


@dataclass(frozen=True)
class Held:
    """A certificate and its key."""

    certificate: str
    key: str


def service(of: Authorities | None = None, name: str = "proxy") -> Held:
    key = new_key()
    issued = issue.issue_host(
        (of or authorities()).host,
        names=["proxy-1"],
        public_key=key.public_key(),
        ttl=timedelta(hours=1),
        now=NOW,
        service=name,
    )
    return Held(issued.pem, key_pem(key).decode())


def said(held: Held | None = None, hello: bytes = HELLO, at: timedelta = timedelta()) -> bytes:
    held = held or service()
    return words(ADDRESS, hello, certificate_pem=held.certificate, key_pem=held.key, now=NOW + at)


def heard(introduction: bytes) -> Passed:
    assert length_of(introduction[:HEAD]) == len(introduction) - HEAD
    issuers = [item.certificate for item in authorities().trusted(Kind.HOST)]
    return read(introduction[HEAD:], issuers, NOW)


def altered(**changes: Any) -> bytes:
    """Good words with something else in them."""
    document = json.loads(said()[HEAD:])
    return said()[: HEAD - 4] + _sized(json.dumps({**document, **changes}).encode())


def _sized(body: bytes) -> bytes:
    return len(body).to_bytes(4) + body


def test_what_a_proxy_says_is_heard_and_is_about_one_connection() -> None:
    passed = heard(said())
    assert (passed.address, passed.proxy.service) == (ADDRESS, "proxy")
    assert passed.is_about(HELLO)
    assert not passed.is_about(HELLO[:-1])
    assert not passed.is_about(HELLO[:-1] + b"!"), "repeated in front of another connection"
    assert not heard(said(hello=b"GET /")).is_about(b"GET /"), "only TLS is passed on"


def test_a_login_and_its_key_introduce_nobody() -> None:
    login = minted_login()
    with pytest.raises(CertificateError, match="is not signed by the host authority"):
        heard(said(Held(login.cert_pem, login.key_pem)))


@pytest.mark.parametrize(
    ("forged", "says"),
    [
        (lambda: said(service(name="db")), "a db service passes no connections on"),
        (lambda: said(service(name="")), "a cluster service passes no connections on"),
        (lambda: said(service(authorities("elsewhere"))), "is not signed by the host authority"),
        (lambda: said(Held(service().certificate, service().key)), "not signed by the proxy"),
        (lambda: said(at=timedelta(minutes=-2)), "not of this minute"),
        (lambda: said(at=timedelta(minutes=2)), "not of this minute"),
        (lambda: altered(address="203.0.113.1:1"), "not signed by the proxy"),
        (lambda: altered(hello="0" * 64), "not signed by the proxy"),
        (lambda: altered(size=7), "not signed by the proxy"),
        (lambda: altered(time=(NOW + timedelta(seconds=1)).isoformat()), "not signed by the proxy"),
        (lambda: altered(signature=b64encode(b"no").decode()), "not signed by the proxy"),
        (lambda: altered(certificate=b64encode(b"no").decode()), "certificate cannot be read"),
        (lambda: altered(size=-1), "cannot be read"),
        (lambda: altered(size=True), "cannot be read"),
        (lambda: altered(time="yesterday"), "cannot be read"),
        (lambda: altered(time="2026-03-01T12:00:00"), "cannot be read"),
        (lambda: altered(address="x" * 65), "cannot be read"),
        (lambda: altered(address=None), "cannot be read"),
    ],
)
def test_what_nobody_may_say_is_refused(forged: Callable[[], bytes], says: str) -> None:
    with pytest.raises(CertificateError, match=says):
        heard(forged())


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b"[" * 5000, b'{"time": 1}'])
def test_what_is_no_introduction_cannot_be_read(body: bytes) -> None:
    issuers = [item.certificate for item in authorities().trusted(Kind.HOST)]
    with pytest.raises(CertificateError, match="cannot be read"):
        read(body, issuers, NOW)


@pytest.mark.parametrize(
    "head",
    [b"", b"VIA", b"VIA-REGATE/2 \0\0\0\1", b"VIA-REGATE/1 \0\0\0\0", b"VIA-REGATE/1 \xff\xff\xff\xff"],
)
def test_another_beginning_is_refused_before_anything_is_read(head: bytes) -> None:
    with pytest.raises(ProtocolError):
        length_of(head)


def test_the_longest_certificate_fits() -> None:
    names = ["proxy-1", *(f"proxy-{number}.example.com" for number in range(32))]
    key = new_key()
    issued = issue.issue_host(
        authorities().host,
        names=names,
        public_key=key.public_key(),
        ttl=timedelta(hours=1),
        now=NOW,
        service="proxy",
    )
    assert len(parsed(issued.pem).public_bytes(Encoding.DER)) > 1000
    assert length_of(said(Held(issued.pem, key_pem(key).decode()))[:HEAD]) < MAX_BODY
