"""One write transaction: all of it happens, or nothing.

Whoever holds a ``Change`` records what it does in the audit log before the transaction ends; when the
record cannot be written, the exception undoes the change.
"""

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.auth.store.agents import Agents
from gateway.auth.store.bots import Bots
from gateway.auth.store.reading import (
    DATA_REVISION,
    KEY_REVISION,
    has_counter,
    raise_counter,
    read_counter,
    read_credentials,
    read_resources,
    read_sealed,
)
from gateway.auth.store.records import Credentials, Resource
from gateway.auth.store.tables import (
    attempts,
    certificates,
    counters,
    credentials,
    resources,
    sealed,
    tokens,
)
from gateway.errors import ConflictError, NotFoundError

_REMEMBER_SERIALS = 90 * 86_400
"""Seconds for which an expired certificate's serial number is kept."""


class Change:
    """The operations of a write transaction; made by ``Store.change``."""

    def __init__(self, connection: AsyncConnection, declared: AbstractSet[str]) -> None:
        self._connection = connection
        self._declared = declared
        self.agents = Agents(connection)
        """Services elsewhere."""
        self.bots = Bots(connection)
        """Bots that joined."""
        self.revision: int | None = None
        """The new data revision, once a resource has changed."""
        self.key_revision: int | None = None
        """The new revision of the keys, once one has changed."""

    # Resources

    async def get(self, kind: str, name: str) -> Resource | None:
        """The resource, or None."""
        rows = await read_resources(self._connection, kind, name)
        return rows[0] if rows else None

    async def list(self, kind: str) -> Sequence[Resource]:
        """All resources of a kind, by name."""
        return await read_resources(self._connection, kind)

    async def create(self, resource: Resource, *, replace: bool = False) -> Resource:
        """Store a new resource; an existing one is a conflict unless *replace* is set."""
        existing = await self.get(resource.kind, resource.name)
        if existing is not None and not replace:
            raise ConflictError(
                f"{resource.kind} {resource.name!r} exists already", hint="--force replaces it"
            )
        return await self._put(resource, existing=existing)

    async def update(self, resource: Resource, *, expected: int) -> Resource:
        """Store a new form of a resource that nobody has changed since revision *expected*."""
        existing = await self.get(resource.kind, resource.name)
        if existing is None:
            raise NotFoundError.of(resource.kind, resource.name)
        if existing.revision != expected:
            raise ConflictError(
                f"{resource.kind} {resource.name!r} changed in between: it is at revision "
                f"{existing.revision}, the change was made to {expected}",
                hint="read it again and repeat the change",
            )
        return await self._put(resource, existing=existing)

    async def delete(self, kind: str, name: str) -> None:
        """Remove a resource."""
        self._refuse_declared(kind, name)
        done = await self._connection.execute(
            delete(resources).where(resources.c.kind == kind, resources.c.name == name)
        )
        if done.rowcount == 0:
            raise NotFoundError.of(kind, name)
        await self._rise()

    async def _put(self, resource: Resource, *, existing: Resource | None) -> Resource:
        self._refuse_declared(resource.kind, resource.name)
        stored = replace(resource, revision=await self._rise())
        values = {
            "version": stored.version,
            "document": json.dumps(stored.document, ensure_ascii=True, separators=(",", ":")),
            "revision": stored.revision,
        }
        if existing is None:
            statement = insert(resources).values(kind=stored.kind, name=stored.name, **values)
            await self._connection.execute(statement)
        else:
            where = (resources.c.kind == stored.kind, resources.c.name == stored.name)
            await self._connection.execute(update(resources).where(*where).values(**values))
        return stored

    def _refuse_declared(self, kind: str, name: str) -> None:
        if kind == "db" and name in self._declared:
            raise ConflictError(
                f"database {name!r} comes from the configuration file", hint="change it there"
            )

    async def touch(self) -> None:
        """Something that services elsewhere are told of has changed, besides the resources."""
        await self._rise()

    async def _rise(self) -> int:
        self.revision = await raise_counter(self._connection, DATA_REVISION)
        return self.revision

    # Credentials

    async def credentials(self, user: str) -> Credentials | None:
        """What the user logs in with, or None when nothing was set."""
        return await read_credentials(self._connection, user)

    async def set_password(self, user: str, password_hash: str) -> None:
        """Replace the password's hash."""
        done = await self._connection.execute(
            update(credentials).where(credentials.c.user_name == user).values(password_hash=password_hash)
        )
        if done.rowcount == 0:
            await self._connection.execute(
                insert(credentials).values(
                    user_name=user, password_hash=password_hash, totp_secret="", totp_step=-1
                )
            )

    async def set_totp(self, user: str, secret: str) -> None:
        """Replace the second factor; empty removes it. A password must have been set."""
        done = await self._connection.execute(
            update(credentials)
            .where(credentials.c.user_name == user)
            .values(totp_secret=secret, totp_step=-1)
        )
        if done.rowcount == 0:
            raise NotFoundError(f"user {user!r} has no password yet")

    async def use_totp_step(self, user: str, step: int) -> bool:
        """Mark the step used; False when it, or a later one, was used already."""
        done = await self._connection.execute(
            update(credentials)
            .where(credentials.c.user_name == user, credentials.c.totp_step < step)
            .values(totp_step=step)
        )
        return done.rowcount == 1

    async def forget(self, user: str) -> None:
        """Remove what the user proves itself with: password, second factor, open tokens, a bot's line."""
        await self.bots.forget(user)
        await self._connection.execute(delete(credentials).where(credentials.c.user_name == user))
        await self._connection.execute(
            delete(tokens).where(tokens.c.owner == user, tokens.c.purpose == "signup")
        )

    # Tokens

    async def add_token(
        self, digest: str, *, purpose: str, owner: str, expires_at: int, uses: int | None = 1
    ) -> None:
        """Keep a token's digest; an earlier one of that purpose and owner is gone.

        *uses* None is any number of them until it expires.
        """
        await self.drop_token(purpose, owner)
        await self._connection.execute(
            insert(tokens).values(
                digest=digest, purpose=purpose, owner=owner, expires_at=expires_at, uses_left=uses
            )
        )

    async def drop_token(self, purpose: str, owner: str) -> None:
        """Remove the token of that purpose and owner, if there is one."""
        await self._connection.execute(
            delete(tokens).where(tokens.c.purpose == purpose, tokens.c.owner == owner)
        )

    async def token_owner(self, digest: str, *, purpose: str, now: int) -> str | None:
        """Whose token this is, without using it up; None when it is unknown, used or expired."""
        statement = select(tokens.c.owner).where(
            tokens.c.digest == digest, tokens.c.purpose == purpose, tokens.c.expires_at > now
        )
        found = (await self._connection.execute(statement)).scalar()
        return None if found is None else str(found)

    async def redeem_token(self, digest: str, *, purpose: str, now: int) -> str | None:
        """Use a token once and return its owner; None when it is unknown, used up or expired.

        Its last use removes it.
        """
        usable = (tokens.c.digest == digest, tokens.c.purpose == purpose, tokens.c.expires_at > now)
        last = delete(tokens).where(*usable, tokens.c.uses_left == 1).returning(tokens.c.owner)
        row = (await self._connection.execute(last)).first()
        if row is None:
            more = or_(tokens.c.uses_left.is_(None), tokens.c.uses_left > 1)
            once = update(tokens).where(*usable, more).values(uses_left=tokens.c.uses_left - 1)
            row = (await self._connection.execute(once.returning(tokens.c.owner))).first()
        return None if row is None else str(row.owner)

    async def token_end(self, digest: str, *, purpose: str) -> int | None:
        """When a token ends or ended, in seconds; None when it is unknown or used up."""
        statement = select(tokens.c.expires_at).where(tokens.c.digest == digest, tokens.c.purpose == purpose)
        found = (await self._connection.execute(statement)).scalar()
        return None if found is None else int(found)

    async def is_token_open(self, purpose: str, owner: str) -> bool:
        """True while the token of that purpose and owner has uses left."""
        statement = select(tokens.c.digest).where(tokens.c.purpose == purpose, tokens.c.owner == owner)
        return (await self._connection.execute(statement)).first() is not None

    async def forget_tokens(self, purpose: str, *, before: int) -> Sequence[str]:
        """Remove the tokens of a purpose that ended before a moment; their owners."""
        ended = delete(tokens).where(tokens.c.purpose == purpose, tokens.c.expires_at < before)
        return [str(row.owner) for row in await self._connection.execute(ended.returning(tokens.c.owner))]

    # Attempts

    async def add_attempt(self, identifier: str, bucket: str, at: int) -> None:
        """Count one attempt at *at* (milliseconds)."""
        await self._connection.execute(insert(attempts).values(id=identifier, bucket=bucket, at=at))

    async def attempts_since(self, bucket: str, since: int) -> tuple[int, int]:
        """How many attempts are younger than *since*, and when the oldest of them was."""
        row = (
            await self._connection.execute(
                select(func.count(), func.coalesce(func.min(attempts.c.at), 0)).where(
                    attempts.c.bucket == bucket, attempts.c.at > since
                )
            )
        ).one()
        return int(row[0]), int(row[1])

    async def forget_attempts(self, *, before: int | None = None, bucket: str | None = None) -> None:
        """Remove attempts that no longer count, or all of one bucket."""
        if before is not None:
            await self._connection.execute(delete(attempts).where(attempts.c.at <= before))
        if bucket is not None:
            await self._connection.execute(delete(attempts).where(attempts.c.bucket == bucket))

    # Certificates

    async def record_certificate(
        self, serial: str, *, use: str, owner: str, issued_at: int, expires_at: int
    ) -> None:
        """Keep the serial number of a certificate that is about to be handed out."""
        await self._connection.execute(
            delete(certificates).where(certificates.c.expires_at < issued_at - _REMEMBER_SERIALS)
        )
        await self._connection.execute(
            insert(certificates).values(
                serial=serial, certificate_use=use, owner=owner, issued_at=issued_at, expires_at=expires_at
            )
        )

    async def counter(self, name: str) -> int:
        """A number that was kept; 0 when there is none."""
        return await read_counter(self._connection, name)

    async def set_counter(self, name: str, value: int) -> None:
        """Keep a number, unless a higher one was kept: by a node whose clock is ahead, say."""
        where = (counters.c.name == name, counters.c.value < value)
        done = await self._connection.execute(update(counters).where(*where).values(value=value))
        if done.rowcount == 0 and not await has_counter(self._connection, name):
            await self._connection.execute(insert(counters).values(name=name, value=value))

    # Keys

    async def sealed(self) -> Mapping[str, str]:
        """Every sealed text by its name."""
        return await read_sealed(self._connection)

    async def put_sealed(self, name: str, body: str) -> None:
        """Keep a sealed text in the place of the one before."""
        self.key_revision = await raise_counter(self._connection, KEY_REVISION)
        done = await self._connection.execute(update(sealed).where(sealed.c.name == name).values(body=body))
        if done.rowcount == 0:
            await self._connection.execute(insert(sealed).values(name=name, body=body))
