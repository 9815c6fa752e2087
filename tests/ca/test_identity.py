"""Every certificate in every place: each belongs in one, and is refused in all the others."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from gateway.ca import identity, issue
from gateway.ca.authority import Authority
from gateway.ca.profile import EXTENSION, Kind
from gateway.errors import CertificateError
from gateway.model.identity import Use
from tests.ca.material import CLUSTER, NOW, ROUTE, authorities, login, login_identity, new_key, parsed

HOUR = timedelta(hours=1)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


def _database() -> x509.Certificate:
    issued = issue.issue_database(
        authorities().user,
        identity=login_identity(),
        route=ROUTE,
        public_key=new_key().public_key(),
        ttl=HOUR,
        now=NOW,
    )
    return parsed(issued.pem)


def _session() -> x509.Certificate:
    issued = issue.issue_session(
        authorities().user,
        identity=identity.from_certificate(_database(), now=NOW),
        agent="db-1",
        client_address="192.0.2.7:4711",
        public_key=new_key().public_key(),
        now=NOW,
    )
    return parsed(issued.pem)


CERTIFICATES: dict[Use, Callable[[], x509.Certificate]] = {
    Use.USER: login,
    Use.DATABASE: _database,
    Use.SESSION: _session,
    Use.HOST: lambda: parsed(issue.mint_host(authorities().host, names=["localhost"], now=NOW).cert_pem),
    Use.DB_SERVER: lambda: parsed(
        issue.issue_db_server(authorities().db, hosts=["localhost"], ttl=HOUR, now=NOW).cert_pem
    ),
    Use.DB_CLIENT: lambda: parsed(
        issue.mint_db_client(
            authorities().db_client, cluster=CLUSTER, db_user="ada", ttl=HOUR, now=NOW
        ).cert_pem
    ),
}
PLACES: dict[Use, Kind] = {
    Use.USER: Kind.USER,
    Use.DATABASE: Kind.USER,
    Use.SESSION: Kind.USER,
    Use.HOST: Kind.HOST,
    Use.DB_SERVER: Kind.DB,
    Use.DB_CLIENT: Kind.DB_CLIENT,
}


@pytest.mark.parametrize("place", PLACES, ids=lambda use: f"at-{use}")
@pytest.mark.parametrize("use", CERTIFICATES, ids=str)
def test_a_certificate_opens_its_own_place_and_no_other(use: Use, place: Use) -> None:
    issuer = authorities().by_kind(PLACES[place])
    certificate = CERTIFICATES[use]()
    if use is place:
        found = identity.from_chain(certificate, issuer, uses=(place,), now=NOW)
        assert found.use is use
    else:
        with pytest.raises(CertificateError):
            identity.from_chain(certificate, issuer, uses=(place,), now=NOW)


@pytest.mark.parametrize("authority", Kind)
@pytest.mark.parametrize("use", CERTIFICATES, ids=str)
def test_no_certificate_passes_under_another_authority_whatever_use_is_wanted(
    use: Use, authority: Kind
) -> None:
    """The authority alone must be enough to refuse, even if a place forgot to say which use it wants."""
    certificate = CERTIFICATES[use]()
    if PLACES[use] is authority:
        identity.from_chain(certificate, authorities().by_kind(authority), uses=tuple(Use), now=NOW)
    else:
        with pytest.raises(CertificateError, match="is not signed by"):
            identity.from_chain(certificate, authorities().by_kind(authority), uses=tuple(Use), now=NOW)


def _forge(  # one argument for each thing that a forged certificate may get wrong
    authority: Authority,
    claims: object,
    *,
    purposes: tuple[ObjectIdentifier, ...] = (CLIENT,),
    ca: bool = False,
    signs: bool = False,
    start: datetime = NOW - HOUR,
    end: datetime = NOW + HOUR,
    without: tuple[type[x509.ExtensionType], ...] = (),
) -> x509.Certificate:
    """What the authority's key would sign if somebody got it to sign something it should not."""
    data = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    extensions: list[x509.ExtensionType] = [
        x509.BasicConstraints(ca=ca, path_length=0 if ca else None),
        x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=signs,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        ),
        x509.ExtendedKeyUsage(purposes),
        x509.UnrecognizedExtension(EXTENSION, data),
    ]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ada")]))
        .issuer_name(authority.certificate.subject)
        .public_key(new_key().public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(end)
    )
    for extension in extensions:
        if not isinstance(extension, without):
            builder = builder.add_extension(extension, critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def _claims(**changes: Any) -> dict[str, Any]:
    whole = {
        "v": 1,
        "use": "user",
        "user": "ada",
        "roles": [],
        "traits": {},
        "cluster": CLUSTER,
        "login_expires": int(NOW.timestamp()) + 60,
    }
    return {name: value for name, value in {**whole, **changes}.items() if value is not ...}


def _check(certificate: x509.Certificate, kind: Kind = Kind.USER) -> None:
    identity.from_chain(certificate, authorities().by_kind(kind), uses=tuple(Use), now=NOW)


def test_the_forger_of_these_tests_could_make_a_good_one() -> None:
    _check(_forge(authorities().user, _claims()))


@pytest.mark.parametrize(
    ("forged", "says"),
    [
        (lambda: _forge(authorities().user, _claims(use="host", names=["x"])), "may not sign host"),
        (lambda: _forge(authorities().user, _claims(use="db-client")), "may not sign db-client"),
        (lambda: _forge(authorities().user, _claims(cluster="other")), "claims cluster other"),
        (lambda: _forge(authorities().user, _claims(), purposes=(SERVER,)), "other TLS purposes"),
        (lambda: _forge(authorities().user, _claims(), purposes=(CLIENT, SERVER)), "other TLS purposes"),
        (
            lambda: _forge(
                authorities().user, _claims(), purposes=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)
            ),
            "other TLS purposes",
        ),
        (lambda: _forge(authorities().user, _claims(), ca=True), "not a leaf"),
        (lambda: _forge(authorities().user, _claims(), signs=True), "not a leaf"),
        (lambda: _forge(authorities().user, _claims(), without=(x509.ExtendedKeyUsage,)), "lacks"),
        (lambda: _forge(authorities().user, _claims(), without=(x509.BasicConstraints,)), "lacks"),
        (lambda: _forge(authorities().user, _claims(), without=(x509.UnrecognizedExtension,)), "no identity"),
        (lambda: _forge(authorities().user, _claims(), end=NOW), "expired"),
        (
            lambda: _forge(authorities().user, _claims(), start=NOW + HOUR, end=NOW + 2 * HOUR),
            "not valid before",
        ),
    ],
)
def test_what_an_authority_should_not_have_signed_is_refused(
    forged: Callable[[], x509.Certificate], says: str
) -> None:
    with pytest.raises(CertificateError, match=says):
        _check(forged())


@pytest.mark.parametrize(
    "claims",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{" * 10_000,
        b"[" * 200_000,
        _claims(v=2),
        _claims(v=...),
        _claims(use="root"),
        _claims(use=...),
        _claims(use=["user"]),
        _claims(user=...),
        _claims(user=7),
        _claims(roles="access"),
        _claims(roles=[1]),
        _claims(traits=[]),
        _claims(traits={"a": "b"}),
        _claims(traits=None),
        _claims(cluster=None),
        _claims(login_expires=...),
        _claims(login_expires="tomorrow"),
        _claims(login_expires=True),
        _claims(login_expires=10**30),
        _claims(use="database"),
        _claims(use="database", route=[]),
        _claims(use="database", route={"database": "x"}),
        _claims(use="host", names=[]),
    ],
    ids=lambda claims: repr(claims)[:60],
)
def test_an_identity_that_cannot_be_read_is_refused_and_nothing_else_is_raised(claims: object) -> None:
    with pytest.raises(CertificateError):
        identity.from_certificate(_forge(authorities().user, claims), now=NOW)


def test_a_leaf_that_was_signed_by_a_leaf_is_refused() -> None:
    """A stolen login cannot be used as an authority."""
    key = new_key()
    stolen = login(key=key)
    authority = object.__new__(Authority)
    object.__setattr__(authority, "certificate", stolen)
    object.__setattr__(authority, "key", key)
    forged = _forge(authority, _claims(user="root"))
    with pytest.raises(CertificateError, match="is not signed by"):
        _check(forged)
    with pytest.raises(CertificateError, match="issuer is not"):
        identity.from_chain(forged, stolen, uses=(Use.USER,), now=NOW)


def test_an_authority_of_somebody_else_is_no_issuer() -> None:
    """The right to sign is not enough: it must be one of this cluster's four."""
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "elsewhere")])
    usage = authorities().user.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    foreign = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - HOUR)
        .not_valid_after(NOW + HOUR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    with pytest.raises(CertificateError, match="not an authority of a cluster"):
        identity.from_chain(login(), foreign, uses=(Use.USER,), now=NOW)


def test_an_expired_authority_vouches_for_nobody() -> None:
    later = authorities().user.certificate.not_valid_after_utc
    with pytest.raises(CertificateError, match="issuer expired"):
        identity.from_chain(login(), authorities().user, uses=(Use.USER,), now=later)


@pytest.mark.parametrize("moment", [NOW + timedelta(hours=8), NOW - timedelta(seconds=61)])
def test_dates_are_checked_without_a_chain_too(moment: datetime) -> None:
    with pytest.raises(CertificateError):
        identity.from_certificate(login(), now=moment)


def test_a_certificate_is_read_from_der_as_tls_hands_it_over() -> None:
    certificate = login()
    assert identity.from_certificate(certificate.public_bytes(Encoding.DER), now=NOW).user == "ada"
    with pytest.raises(CertificateError, match="cannot be read"):
        identity.from_certificate(b"\x30\x00", now=NOW)


@pytest.mark.parametrize("bit", [1, 2, 4, 128])
def test_no_count_of_unused_bits_makes_a_second_certificate(bit: int) -> None:
    """Which counts a reader lets pass depends on the last bits of the signature; here none does."""
    for _ in range(8):
        certificate = login()
        der = bytearray(certificate.public_bytes(Encoding.DER))
        der[-len(certificate.signature) - 1] ^= bit
        with pytest.raises(CertificateError, match="cannot be read"):
            identity.from_chain(bytes(der), authorities().user, uses=(Use.USER,), now=NOW)


def test_every_flipped_byte_breaks_the_chain() -> None:
    der = login().public_bytes(Encoding.DER)
    for at in range(0, len(der), 3):
        damaged = der[:at] + bytes([der[at] ^ 0x01]) + der[at + 1 :]
        with pytest.raises(CertificateError):
            identity.from_chain(damaged, authorities().user, uses=(Use.USER,), now=NOW)


def test_a_certificate_of_another_cluster_is_refused() -> None:
    with pytest.raises(CertificateError, match="is not signed by"):
        _check(login(authorities("other")))
    found = identity.from_certificate(login(authorities("other")), now=NOW)
    with pytest.raises(CertificateError, match="certificate is of cluster other"):
        identity.verify_trust(found, CLUSTER)
