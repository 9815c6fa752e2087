"""Certificates for somebody who is known already: one database's, or a database server's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import assert_never

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.auth import limits
from gateway.auth.desk import ConnectAttempt, Desk
from gateway.ca import issue, sign
from gateway.ca.identity import verify_trust, verify_use
from gateway.ca.keys import Authorities
from gateway.ca.profile import DATABASE_MAX, public_key_from_csr
from gateway.ca.profile import Kind as Ca
from gateway.errors import AccessError, ConfigError
from gateway.model.decision import Allowed, Decision, Denied, Reason
from gateway.model.event import Kind
from gateway.model.identity import Identity, Route, Subject, Use
from gateway.model.resource import Database

SERVER_DEFAULT = timedelta(hours=2190)  # a quarter of a year, as `auth sign` has it elsewhere

AUDIT = "audit"
"""What is exported under this name is the audit log's public key; it is no authority."""

UNKNOWN_DATABASE = Reason("database_not_found", "there is no such database, or none that you may see")
"""What the policy answers for a database outside a user's view, word for word."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A per-database certificate as it is asked for."""

    database: str
    db_user: str
    db_name: str
    csr_pem: str = field(repr=False)
    source: str
    ttl: timedelta | None


@dataclass(frozen=True, slots=True)
class SignedServer:
    """What a database server needs: its certificate and key, and the authority of its clients.

    ``server_ca_pem`` signed the certificate itself, for whoever else connects to that server.
    """

    certificate_pem: str
    key_pem: str = field(repr=False)
    client_ca_pem: str
    server_ca_pem: str
    serial: str


async def for_database(desk: Desk, identity: Identity, wanted: Wanted) -> sign.Issued:
    """A certificate for one route, if the policy would let that connection open now."""
    verify_use(identity, Use.USER)
    verify_trust(identity, desk.authorities.cluster)
    key = public_key_from_csr(wanted.csr_pem)
    async with desk.store.change() as change:
        await limits.attempt(change, limits.CERTIFICATES, identity.user, desk.clock.now_ns())
    database, decision = await _decide(desk, identity, wanted)
    match decision:
        case Allowed():
            route = Route(database.name, database.protocol, wanted.db_user, wanted.db_name)
        case Denied():
            await _record_denied(desk, identity, wanted, decision)
            # The same words for one that is not there and one that may not be seen.
            hint = (
                "regate db ls prints those that you may see" if decision.code == UNKNOWN_DATABASE.code else ""
            )
            raise AccessError(decision.sentence, code=decision.code, hint=hint)
        case other:
            assert_never(other)
    lifetime = min(wanted.ttl or DATABASE_MAX, DATABASE_MAX)
    async with desk.store.change() as change:
        certificate = issue.issue_database(
            desk.authorities.user,
            identity=identity,
            route=route,
            public_key=key,
            ttl=lifetime,
            now=desk.steady.now(),
        )
        await desk.issued(change, certificate, Use.DATABASE, identity.user)
        await desk.hooks.record(
            Kind.CERT_CREATE,
            {
                **_who(identity, wanted),
                "use": Use.DATABASE.value,
                "serial": certificate.serial,
                "expires": certificate.expires.isoformat(),
                "decision_id": decision.decision_id,
            },
        )
    return certificate


async def _decide(desk: Desk, identity: Identity, wanted: Wanted) -> tuple[Database, Decision]:
    """Ask the policy, about an unknown database too, so that its answer takes as long as any other."""
    enrolled = await desk.database(wanted.database)
    database = enrolled or Database(wanted.database, "postgres", "")
    attempt = ConnectAttempt(identity, database, wanted.db_user, wanted.db_name, wanted.source)
    decision = await desk.hooks.may_connect(attempt)
    if enrolled is not None:
        return database, decision
    match decision:
        case Denied(reasons=(Reason(code=code), *_)) if code != UNKNOWN_DATABASE.code:
            # Something stands against the person, whatever the database: that answer comes first.
            personal = code in {"user_unknown", "user_locked", "locked", "login_expired", "role_missing"}
            if personal or decision.revisions is None:
                return database, decision
        case _:
            pass
    return database, Denied(decision.decision_id, (UNKNOWN_DATABASE,), decision.revisions)


def _who(identity: Identity, wanted: Wanted) -> dict[str, object]:
    return {
        "user": identity.user,
        "roles": list(identity.roles),
        "database": wanted.database,
        "db_user": wanted.db_user,
        "db_name": wanted.db_name,
        "client_address": wanted.source,
    }


async def _record_denied(desk: Desk, identity: Identity, wanted: Wanted, denial: Denied) -> None:
    fields = {**_who(identity, wanted), "phase": "certificate", "reason": denial.code}
    await desk.hooks.record(Kind.SESSION_DENIED, {**fields, "decision_id": denial.decision_id})


async def for_db_server(
    desk: Desk, subject: Subject, hosts: Sequence[str], *, ttl: timedelta
) -> SignedServer:
    """A certificate and a new key for a database server."""
    await desk.authorise(subject, "create", "database_certificate", hosts[0] if hosts else "")
    async with desk.store.change() as change:
        minted = issue.issue_db_server(desk.authorities.db, hosts=hosts, ttl=ttl, now=desk.steady.now())
        assert minted.expires is not None
        await desk.issued(change, minted, Use.DB_SERVER, subject.name)
        await desk.record(
            Kind.CERT_CREATE,
            subject,
            use=Use.DB_SERVER.value,
            serial=minted.serial,
            hosts=list(hosts),
            expires=minted.expires.isoformat(),
        )
    return SignedServer(
        certificate_pem=minted.cert_pem,
        key_pem=minted.key_pem,
        client_ca_pem=desk.authorities.trusted_pem(Ca.DB_CLIENT),
        server_ca_pem=desk.authorities.trusted_pem(Ca.DB),
        serial=minted.serial,
    )


async def export(desk: Desk, subject: Subject, kind: Ca | str) -> str:
    """An authority's certificate (two during a rotation), or the audit log's public key."""
    await desk.authorise(subject, "read", "cert_authority", str(kind))
    if kind == AUDIT:
        public = desk.authorities.audit_key.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
    try:
        return desk.authorities.trusted_pem(Ca(kind))
    except ValueError:
        names = ", ".join([*Ca, AUDIT])
        raise ConfigError(f"there is no {kind!r} authority, expected one of {names}") from None


def expiries(authorities: Authorities) -> Mapping[str, str]:
    """When each authority ends."""
    return {kind.value: authorities.by_kind(kind).certificate.not_valid_after_utc.isoformat() for kind in Ca}
