import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from gateway.ca import identity, issue, sign
from gateway.ca.profile import Kind, strong_key
from gateway.errors import CertificateError
from gateway.model.identity import Use
from tests.ca.material import (
    CLUSTER,
    NOW,
    ROUTE,
    FakeClock,
    authorities,
    login,
    login_identity,
    new_authorities,
    new_key,
    parsed,
)

HOUR = timedelta(hours=1)


def _database(ttl: timedelta = HOUR, **changes: object) -> sign.Issued:
    settings: dict[str, object] = {"identity": login_identity(), "route": ROUTE, "now": NOW, **changes}
    return issue.issue_database(authorities().user, public_key=new_key().public_key(), ttl=ttl, **settings)  # type: ignore[arg-type]  # the table's own words


def _server(ttl: timedelta = HOUR, hosts: tuple[str, ...] = ("db.example.com",)) -> sign.MintedCertificate:
    return issue.issue_db_server(authorities().db, hosts=hosts, ttl=ttl, now=NOW)


def _client(ttl: timedelta = HOUR, db_user: str = "ada") -> sign.MintedCertificate:
    return issue.mint_db_client(authorities().db_client, cluster=CLUSTER, db_user=db_user, ttl=ttl, now=NOW)


def _host(ttl: timedelta = HOUR, names: tuple[str, ...] = ("localhost",)) -> sign.MintedCertificate:
    return issue.mint_host(authorities().host, names=names, ttl=ttl, now=NOW)


def test_a_login_carries_who_and_what_and_until_when() -> None:
    found = identity.from_certificate(login(), now=NOW)
    assert (found.user, found.roles, found.cluster, found.use) == (
        "ada",
        ("access", "reader"),
        CLUSTER,
        Use.USER,
    )
    assert found.traits == {"db_users": ("ada", "reader")}
    assert found.expires == found.login_expires == NOW + timedelta(hours=8)
    assert found.route is None
    assert found.key_id == authorities().user.key_id


def test_a_database_certificate_carries_its_route_and_the_end_of_the_login() -> None:
    found = identity.from_certificate(parsed(_database().pem), now=NOW)
    assert (found.use, found.route) == (Use.DATABASE, ROUTE)
    assert found.expires == NOW + HOUR
    assert found.login_expires == NOW + timedelta(hours=8)


def test_a_database_certificate_never_outlives_the_login() -> None:
    almost_over = login_identity(expires=NOW + timedelta(minutes=5))
    assert _database(identity=almost_over).expires == NOW + timedelta(minutes=5)


def test_an_ended_login_gets_no_database_certificate() -> None:
    with pytest.raises(CertificateError, match="has ended"):
        _database(identity=login_identity(expires=NOW))


def test_a_database_certificate_is_not_narrowed_again() -> None:
    narrowed = identity.from_certificate(parsed(_database().pem), now=NOW)
    with pytest.raises(CertificateError, match="cannot be narrowed"):
        _database(identity=narrowed)


def test_a_login_of_another_cluster_is_not_narrowed() -> None:
    with pytest.raises(CertificateError, match="cluster example"):
        issue.issue_database(
            authorities("other").user,
            identity=login_identity(),
            route=ROUTE,
            public_key=new_key().public_key(),
            ttl=HOUR,
            now=NOW,
        )


def test_a_minted_certificate_names_the_database_user_twice() -> None:
    certificate = parsed(_client(db_user="Ada Ünal@x").cert_pem)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert [name.value for name in names] == ["Ada Ünal@x"]
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = alternatives.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == ["spiffe://example/db-user/Ada%20%C3%9Cnal%40x"]


def test_a_server_certificate_has_names_and_addresses_where_clients_look() -> None:
    certificate = parsed(_server(hosts=("db.example.com", "127.0.0.1", "::1", "*.example.com")).cert_pem)
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternatives.get_values_for_type(x509.DNSName) == ["db.example.com", "*.example.com"]
    assert [str(item) for item in alternatives.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


@pytest.mark.parametrize(
    ("make", "longest"),
    [
        (lambda ttl: login(ttl=ttl), timedelta(hours=12)),
        (_database, HOUR),
        (_client, HOUR),
        (_host, timedelta(hours=72)),
        (_server, timedelta(days=365)),
    ],
    ids=["login", "database", "db-client", "host", "db-server"],
)
def test_no_certificate_lives_longer_than_its_kind_may(
    make: Callable[[timedelta], object], longest: timedelta
) -> None:
    make(longest)
    for ttl in (longest + timedelta(seconds=1), timedelta(0), timedelta(seconds=-1)):
        with pytest.raises(CertificateError, match="was asked for"):
            make(ttl)


def test_certificates_begin_a_minute_ago_for_peers_whose_clock_is_late() -> None:
    assert login().not_valid_before_utc == NOW - timedelta(seconds=60)


def test_no_certificate_outlives_its_authority() -> None:
    found = new_authorities(FakeClock())
    end = found.db.certificate.not_valid_after_utc
    made = issue.issue_db_server(found.db, hosts=["db"], ttl=timedelta(days=30), now=end - HOUR)
    assert parsed(made.cert_pem).not_valid_after_utc == end
    with pytest.raises(CertificateError, match="authority expired"):
        issue.issue_db_server(found.db, hosts=["db"], ttl=HOUR, now=end)


@pytest.mark.parametrize("wrong", [kind for kind in Kind if kind is not Kind.USER])
def test_no_authority_signs_for_another_use(wrong: Kind) -> None:
    with pytest.raises(CertificateError, match="does not sign"):
        issue.issue_login(
            authorities().by_kind(wrong),
            user="ada",
            roles=(),
            traits={},
            public_key=new_key().public_key(),
            ttl=HOUR,
            now=NOW,
        )


def test_serial_numbers_have_128_random_bits() -> None:
    serials = [int(_client().serial, 16) for _ in range(64)]
    assert len(set(serials)) == 64
    assert max(serials).bit_length() > 120
    drawn: list[int] = []

    def bits(count: int) -> int:
        drawn.append(count)
        return 7

    issued = issue.issue_host(
        authorities().host, names=["h"], public_key=new_key().public_key(), ttl=HOUR, now=NOW, bits=bits
    )
    assert (issued.serial, drawn) == (f"{7:032x}", [128])


@pytest.mark.parametrize("name", ["", "x" * 65, "a\0b", "a\nb", "\x7f"])
def test_a_name_that_a_certificate_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(CertificateError, match="cannot be a certificate's name"):
        _client(db_user=name)


@pytest.mark.parametrize("host", ["", "a b", "a..b", "-a", "x" * 64, "a/b", "ä.example", "a.*.b", "db:5432"])
def test_what_is_no_host_name_gets_no_server_certificate(host: str) -> None:
    with pytest.raises(CertificateError, match="neither a host name nor an address"):
        _server(hosts=("db", host))


def test_a_server_certificate_without_names_is_refused() -> None:
    with pytest.raises(CertificateError, match="at least one"):
        _server(hosts=())


def test_an_identity_too_large_for_a_handshake_is_refused() -> None:
    with pytest.raises(CertificateError, match="at most 8192 fit"):
        issue.issue_login(
            authorities().user,
            user="ada",
            roles=[f"role-{number}" for number in range(1000)],
            traits={},
            public_key=new_key().public_key(),
            ttl=HOUR,
            now=NOW,
        )


def test_only_p256_and_ed25519_keys_are_strong() -> None:
    strong_key(new_key().public_key())
    strong_key(ed25519.Ed25519PrivateKey.generate().public_key())
    for weak in (
        rsa.generate_private_key(65537, 2048).public_key(),
        ec.generate_private_key(ec.SECP384R1()).public_key(),
        ec.generate_private_key(ec.SECP192R1()).public_key(),
    ):
        with pytest.raises(CertificateError, match="neither P-256 nor Ed25519"):
            strong_key(weak)


def test_minted_keys_are_not_shown() -> None:
    assert "PRIVATE" not in repr(_client())


def test_minting_is_cheap_enough_for_every_session() -> None:
    def once() -> float:
        start = time.process_time()
        _client()
        return time.process_time() - start

    # The fastest of many says what the work costs; the others say what else this machine does.
    assert min(once() for _ in range(50)) < 0.0015
