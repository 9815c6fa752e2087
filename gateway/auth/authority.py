"""The auth service as the API sees it: each method asks the policy, does one thing, and records it.

Every method that changes something does so in one transaction with its audit record: when the record
cannot be written, nothing has changed.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from gateway.auth import bots, catalog, certificates, login, presets, rotate, tokens, users
from gateway.auth.bots import Asked, BotView
from gateway.auth.catalog import Applied
from gateway.auth.certificates import SignedServer
from gateway.auth.databases import to_resource
from gateway.auth.desk import ISSUED_AT, Desk, Hooks
from gateway.auth.elsewhere import Elsewhere
from gateway.auth.keyring import Keyring
from gateway.auth.login import Login, LoginRequest
from gateway.auth.logs import Logs
from gateway.auth.store import Resource, Store
from gateway.auth.store.workers import Workers
from gateway.auth.tokens import TokenView, Wish
from gateway.auth.users import Accepted, Invitation, UserView
from gateway.ca.keys import host_ca_pin
from gateway.ca.profile import Kind as Ca
from gateway.ca.rotation import Series
from gateway.ca.sign import Issued
from gateway.ca.steady import SteadyClock
from gateway.clock import Clock
from gateway.model.event import Kind
from gateway.model.identity import Identity, Subject
from gateway.model.resource import Database

_HASHING_THREADS = 2  # each needs 64 MiB while it works


@dataclass(frozen=True, slots=True)
class Status:
    """What ``status`` answers about the cluster."""

    cluster: str
    ca_pin: str
    data_revision: int
    authorities: Mapping[str, str]  # kind to the moment it expires, RFC 3339
    counts: Mapping[str, int]  # kind of resource to how many there are


class Auth:
    """The auth service's operations. *subject* is whoever calls, as the transport verified it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.steady = desk.steady
        """The clock to issue certificates by; sessions that mint use it too."""
        self.logs = Logs(desk)
        """The logs of other services: who signs them, and what was found."""

    @classmethod
    async def open(cls, store: Store, keyring: Keyring, clock: Clock, hooks: Hooks) -> Self:
        """The service over *store*; at the first start it makes the preset roles."""
        steady = SteadyClock(clock, await store.counter(ISSUED_AT))
        await presets.create(store)
        return cls(Desk(store, keyring, clock, steady, hooks, Workers(_HASHING_THREADS)))

    @property
    def elsewhere(self) -> Elsewhere:
        """What services that joined ask of this one."""
        return Elsewhere(self._desk)

    async def close(self) -> None:
        """End the hashing threads; the store is closed by whoever opened it."""
        self._desk.workers.close()

    async def record(self, event: Kind, subject: Subject, **fields: Any) -> None:
        """Record what *subject* does past this service; durable when this returns."""
        await self._desk.record(event, subject, **fields)

    @property
    def cluster(self) -> str:
        """The cluster's name."""
        return self._desk.authorities.cluster

    @property
    def ca_pin(self) -> str:
        """The pin by which clients recognise the cluster."""
        return host_ca_pin(self._desk.authorities)

    # Resources

    async def declare(self, databases: Sequence[Database]) -> None:
        """Take the databases of the configuration file, with the labels that they have now."""
        await self._desk.store.declare([to_resource(database) for database in databases])

    async def create(
        self, subject: Subject, text: str, filename: str, *, force: bool = False
    ) -> list[Applied]:
        """Store every document of *text*, or none; *force* replaces what exists.

        A mistake anywhere is a ConfigError that lists all of them with file and line.
        """
        return await catalog.create(self._desk, subject, text, filename, force=force)

    async def update(self, subject: Subject, text: str, filename: str, *, expected: int) -> Applied:
        """Store a new form of one resource that is still at revision *expected* (``edit``)."""
        return await catalog.update(self._desk, subject, text, filename, expected=expected)

    async def get(self, subject: Subject, kind: str, name: str) -> Resource:
        """One resource."""
        return await catalog.get(self._desk, subject, kind, name)

    async def list(self, subject: Subject, kind: str) -> Sequence[Resource]:
        """All resources of a kind."""
        return await catalog.list_kind(self._desk, subject, kind)

    async def delete(self, subject: Subject, kind: str, name: str) -> None:
        """Remove a resource; of a user, everything."""
        await catalog.delete(self._desk, subject, kind, name)

    # Users

    async def add_user(
        self,
        subject: Subject,
        name: str,
        *,
        roles: Sequence[str],
        traits: Mapping[str, Sequence[str]] | None = None,
        ttl: timedelta = users.INVITATION_DEFAULT,
    ) -> Invitation:
        """A new user, and the one-time token to choose a password with."""
        return await users.add(self._desk, subject, name, roles=roles, traits=traits or {}, ttl=ttl)

    async def accept_signup(
        self, token: str, password: str, *, want_totp: bool = False, source: str = ""
    ) -> Accepted:
        """Use up a sign-up token and set the password; says whose account it is."""
        return await users.accept(self._desk, token, password, want_totp=want_totp, source=source)

    async def set_roles(self, subject: Subject, name: str, roles: Sequence[str]) -> UserView:
        """Replace a user's roles."""
        return await users.update(self._desk, subject, name, roles=roles)

    async def set_traits(self, subject: Subject, name: str, traits: Mapping[str, Sequence[str]]) -> UserView:
        """Replace the given traits of a user; an empty list removes one."""
        return await users.update(self._desk, subject, name, traits=traits)

    async def reset_user(
        self, subject: Subject, name: str, *, ttl: timedelta = users.INVITATION_DEFAULT
    ) -> Invitation:
        """Take password and second factor away, and give a token to choose new ones."""
        return await users.reset(self._desk, subject, name, ttl=ttl)

    async def remove_user(self, subject: Subject, name: str) -> None:
        """Remove a user and everything that belongs to one."""
        await users.remove(self._desk, subject, name)

    async def list_users(self, subject: Subject) -> Sequence[UserView]:
        """All users."""
        return await users.list_all(self._desk, subject)

    # Bots

    async def add_bot(
        self,
        subject: Subject,
        name: str,
        *,
        roles: Sequence[str],
        traits: Mapping[str, Sequence[str]] | None = None,
        ttl: timedelta = tokens.LIFETIME,
    ) -> tuple[TokenView, str]:
        """A new bot, and the join token for its machine."""
        return await bots.add(self._desk, subject, name, roles=roles, traits=traits or {}, ttl=ttl)

    async def list_bots(self, subject: Subject) -> Sequence[BotView]:
        """All bots."""
        return await bots.list_all(self._desk, subject)

    async def remove_bot(self, subject: Subject, name: str) -> None:
        """Remove a bot and everything that belongs to it."""
        await bots.remove(self._desk, subject, name)

    async def join_bot(self, token: str, asked: Asked) -> Login:
        """The first certificate of a bot, for its token."""
        return await bots.join(self._desk, token, asked)

    async def renew_bot(self, identity: Identity, asked: Asked) -> Login:
        """The next one, for the last one."""
        return await bots.renew(self._desk, identity, asked)

    # Join tokens

    async def add_token(self, subject: Subject, wish: Wish) -> tuple[TokenView, str]:
        """A new join token, and its secret, which is told this once."""
        tokens.check_types(wish.types)
        name = wish.name or f"token-{secrets.token_hex(4)}"
        document = tokens.document_of(wish, name, datetime.fromtimestamp(self._desk.seconds(), UTC))
        (made,) = await catalog.create(
            self._desk, subject, json.dumps(document), f"token {name}", force=False
        )
        return tokens.view_of(document, uses=wish.uses), made.secret

    async def list_tokens(self, subject: Subject) -> Sequence[TokenView]:
        """The join tokens that can still be used."""
        return await tokens.list_all(self._desk, subject)

    # Certificates

    async def login(self, request: LoginRequest) -> Login:
        """A login certificate for a password (and a code); an AccessError says as little as it can.

        Codes: ``login_failed``, ``totp_required``, ``user_locked``, ``rate_limited``, and the policy's.
        """
        return await login.login(self._desk, request)

    async def database_certificate(  # a route is named in full, by name
        self,
        identity: Identity,
        *,
        database: str,
        db_user: str,
        db_name: str,
        csr_pem: str,
        source: str = "",
        ttl: timedelta | None = None,
    ) -> Issued:
        """A certificate of an hour at most for one database, user and name, if the policy would connect."""
        wanted = certificates.Wanted(database, db_user, db_name, csr_pem, source, ttl)
        return await certificates.for_database(self._desk, identity, wanted)

    async def sign_db_server(
        self, subject: Subject, hosts: Sequence[str], *, ttl: timedelta = certificates.SERVER_DEFAULT
    ) -> SignedServer:
        """A certificate and key for a database server, and the authority it must trust for clients."""
        return await certificates.for_db_server(self._desk, subject, hosts, ttl=ttl)

    async def rotate(self, subject: Subject, wanted: rotate.Step) -> dict[str, Any]:
        """Begin replacing an authority, or bring that into its next phase; says where it stands then."""
        return rotate.describe(await rotate.step(self._desk, subject, wanted))

    async def rotate_due(self) -> Sequence[Series]:
        """Bring automatic rotations on whose time has come; for the service's clock, nobody is asked."""
        return await rotate.step_due(self._desk)

    async def rotations(self, subject: Subject) -> Sequence[dict[str, Any]]:
        """Where the rotation of each authority stands."""
        return await rotate.overview(self._desk, subject)

    async def export_ca(self, subject: Subject, kind: Ca | str) -> str:
        """An authority's certificate in PEM, or the audit log's public key; a private key never leaves."""
        return await certificates.export(self._desk, subject, kind)

    def ca_pem(self, kind: Ca) -> str:
        """The same without asking: for ping, where clients check it against their pin."""
        return self._desk.authorities.trusted_pem(kind)

    async def status(self, subject: Subject) -> Status:
        """The cluster's name, pin, authorities and counts."""
        await self._desk.authorise(subject, "read", "cluster")
        return Status(
            cluster=self.cluster,
            ca_pin=self.ca_pin,
            data_revision=self._desk.store.data_revision,
            authorities=certificates.expiries(self._desk.authorities),
            counts=await catalog.counts(self._desk),
        )

    def describe(self, identity: Identity) -> dict[str, Any]:
        """What a login certificate says, for its owner."""
        return {
            "user": identity.user,
            "roles": list(identity.roles),
            "traits": {name: list(values) for name, values in identity.traits.items()},
            "cluster": identity.cluster,
            "expires": identity.expires.isoformat(),
            "login_expires": identity.login_expires.isoformat(),
        }
