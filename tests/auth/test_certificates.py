"""Certificates for those who are logged in, and for database servers."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509

from gateway.auth.certificates import UNKNOWN_DATABASE
from gateway.ca import identity
from gateway.ca.profile import Kind as Ca
from gateway.ca.sign import Issued
from gateway.errors import AccessError, AuditError, CertificateError, ConfigError
from gateway.model.event import Kind
from gateway.model.identity import Identity, Route, Use
from gateway.model.resource import Database
from tests.auth.rig import ADMIN, CSR, Rig, denied
from tests.auth.test_resources import DB
from tests.ca.material import NOW, authorities, login_identity, parsed


async def _ask(rig: Rig, who: Identity | None = None, **changes: object) -> Issued:
    settings: dict[str, object] = {
        "database": "pg",
        "db_user": "reader",
        "db_name": "orders",
        "csr_pem": CSR,
        "source": "192.0.2.1",
        **changes,
    }
    return await rig.auth.database_certificate(who or login_identity(), **settings)  # type: ignore[arg-type]  # the table's own words


@pytest.fixture(autouse=True)
async def database(rig: Rig) -> None:
    await rig.auth.create(ADMIN, DB, "db.yaml")
    rig.log.events.clear()


async def test_a_certificate_opens_one_route_for_an_hour(rig: Rig) -> None:
    issued = await _ask(rig)
    found = identity.from_chain(parsed(issued.pem), authorities().user, uses=(Use.DATABASE,), now=NOW)
    assert found.route == Route("pg", "postgres", "reader", "orders")
    assert (found.user, found.roles) == ("ada", ("access", "reader"))
    assert (found.expires, found.login_expires) == (NOW + timedelta(hours=1), NOW + timedelta(hours=8))
    (attempt,) = rig.policy.attempts
    assert (attempt.database.uri, attempt.db_user, attempt.source) == (
        "localhost:5432",
        "reader",
        "192.0.2.1",
    )
    (event,) = rig.log.of(Kind.CERT_CREATE)
    assert (event["serial"], event["use"], event["database"]) == (issued.serial, "database", "pg")
    assert await rig.store.certificates_since(0) == 1


@pytest.mark.parametrize(
    ("ttl", "given"),
    [(None, 60), (timedelta(minutes=5), 5), (timedelta(hours=3), 60)],
)
async def test_it_lasts_an_hour_at_most(rig: Rig, ttl: timedelta | None, given: int) -> None:
    assert (await _ask(rig, ttl=ttl)).expires == NOW + timedelta(minutes=given)


async def test_it_does_not_outlive_the_login(rig: Rig) -> None:
    soon = login_identity(expires=NOW + timedelta(minutes=3))
    assert (await _ask(rig, soon)).expires == NOW + timedelta(minutes=3)


async def test_what_the_policy_refuses_is_not_issued_and_recorded(rig: Rig) -> None:
    rig.policy.connect_answer = denied("db_user_not_granted", "this role does not list it")
    with pytest.raises(AccessError, match="this role does not list it") as refused:
        await _ask(rig)
    assert refused.value.code == "db_user_not_granted"
    (event,) = rig.log.of(Kind.SESSION_DENIED)
    assert (event["reason"], event["phase"], event["database"]) == (
        "db_user_not_granted",
        "certificate",
        "pg",
    )
    assert await rig.store.certificates_since(0) == 0


async def test_an_unknown_database_and_one_out_of_sight_are_told_in_the_same_words(rig: Rig) -> None:
    async def told(database: str) -> tuple[str, str, str]:
        with pytest.raises(AccessError) as refused:
            await _ask(rig, database=database)
        return str(refused.value), refused.value.code, refused.value.hint

    rig.policy.connect_answer = denied(UNKNOWN_DATABASE.code, UNKNOWN_DATABASE.message)
    out_of_sight = await told("pg")
    assert await told("nowhere") == out_of_sight
    assert len(rig.policy.attempts) == 2  # the policy is asked either way, so that the time is the same


async def test_an_unknown_database_is_refused_even_where_the_policy_would_allow_it(rig: Rig) -> None:
    """A role for all databases must not open one that is none."""
    with pytest.raises(AccessError) as refused:
        await _ask(rig, database="nowhere")
    assert refused.value.code == UNKNOWN_DATABASE.code


async def test_what_stands_against_the_person_is_told_first(rig: Rig) -> None:
    rig.policy.connect_answer = denied("locked", "a lock is in force")
    for database in ("pg", "nowhere"):
        with pytest.raises(AccessError, match="a lock is in force"):
            await _ask(rig, database=database)


async def test_databases_may_be_known_elsewhere(rig: Rig) -> None:
    filed = Database("filed", "postgres", "db.example.com:5432")
    hooks = replace(rig.auth._desk.hooks, find_database={"filed": filed}.get)
    rig.auth._desk = replace(rig.auth._desk, hooks=hooks)
    await _ask(rig, database="filed")
    assert rig.policy.attempts[-1].database is filed
    with pytest.raises(AccessError):
        await _ask(rig, database="pg")


@pytest.mark.parametrize("use", [use for use in Use if use is not Use.USER])
async def test_only_a_login_is_narrowed(rig: Rig, use: Use) -> None:
    with pytest.raises(CertificateError, match="where a user one is needed"):
        await _ask(rig, replace(login_identity(), use=use))


async def test_a_login_of_another_cluster_is_refused(rig: Rig) -> None:
    with pytest.raises(CertificateError, match="cluster other"):
        await _ask(rig, replace(login_identity(), cluster="other"))


async def test_a_script_gets_many_certificates_and_a_loop_gone_wrong_is_stopped(rig: Rig) -> None:
    for _ in range(300):
        await _ask(rig)
    with pytest.raises(AccessError) as refused:
        await _ask(rig)
    assert refused.value.code == "rate_limited"
    await _ask(rig, login_identity(user="bob"))


async def test_no_record_no_certificate(rig: Rig) -> None:
    rig.log.broken = True
    with pytest.raises(AuditError):
        await _ask(rig)
    with pytest.raises(AuditError):
        await rig.auth.sign_db_server(ADMIN, ["db"])
    assert await rig.store.certificates_since(0) == 0


async def test_a_servers_certificate_comes_with_the_authority_of_its_clients(rig: Rig) -> None:
    signed = await rig.auth.sign_db_server(ADMIN, ["db.example.com", "127.0.0.1"], ttl=timedelta(hours=2190))
    found = identity.from_chain(
        parsed(signed.certificate_pem), authorities().db, uses=(Use.DB_SERVER,), now=NOW
    )
    assert found.expires == NOW + timedelta(hours=2190)
    names = parsed(signed.certificate_pem).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == ["db.example.com"]
    assert parsed(signed.client_ca_pem) == authorities().db_client.certificate
    assert parsed(signed.server_ca_pem) == authorities().db.certificate
    assert "PRIVATE" not in repr(signed)
    (event,) = rig.log.of(Kind.CERT_CREATE)
    assert (event["hosts"], event["user"]) == (["db.example.com", "127.0.0.1"], "admin")
    assert "PRIVATE" not in repr(event)


async def test_authorities_are_exported_without_their_keys(rig: Rig) -> None:
    for kind in Ca:
        pem = await rig.auth.export_ca(ADMIN, kind.value)
        assert parsed(pem) == authorities().by_kind(kind).certificate
        assert "PRIVATE" not in pem
    assert rig.auth.ca_pem(Ca.HOST) == await rig.auth.export_ca(ADMIN, Ca.HOST)
    with pytest.raises(ConfigError, match="expected one of user, host, db, db-client"):
        await rig.auth.export_ca(ADMIN, "jwt")


async def test_the_status_names_the_cluster_and_when_its_authorities_end(rig: Rig) -> None:
    status = await rig.auth.status(ADMIN)
    assert (status.cluster, status.ca_pin) == ("example", rig.auth.ca_pin)
    assert status.counts == {"role": 3, "user": 0, "token": 0, "db": 1, "lock": 0, "guard": 0}
    assert set(status.authorities) == {kind.value for kind in Ca}
