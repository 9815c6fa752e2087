"""Reaching a database: TCP or a unix socket, TLS with a certificate minted for this session, login."""

import asyncio  # noqa: TID251
import os
import ssl
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway import address
from gateway.errors import BackendError, ProtocolError
from gateway.model.identity import Route
from gateway.model.resource import BackendAuth, Database
from gateway.ranges import REFUSED, Ranges
from gateway.sansio.protocol import (
    Login,
    Protocol,
    Ready,
    Startup,
)
from gateway.session.greetings import Greetings
from gateway.session.minted import Settings
from gateway.transport.line import Line, Upgrade, client_upgrade, drive
from gateway.transport.reach import UNIX, reach
from gateway.transport.stream import Stream

NO_STARTUP = Startup()  # of a connection that no client stands behind


@dataclass(frozen=True, slots=True)
class Backend:
    """A logged-in database connection."""

    stream: Stream
    ready: Ready


@dataclass(frozen=True, slots=True)
class Dialler:
    """Opens connections to databases on behalf of sessions, none of them to a *refused* address."""

    minted: Settings
    refused: Ranges = REFUSED
    dial_seconds: float = 5.0
    login_seconds: float = 10.0
    greetings: Greetings = field(default_factory=Greetings)

    async def login(self, protocol: Protocol, startup: Startup, route: Route, database: Database) -> Backend:
        """A logged-in connection as the route's database user; BackendError says which step failed."""
        *others, last = database.uri.split(",")
        for other in others:
            with suppress(BackendError):
                return await self._login(protocol, startup, route, replace(database, uri=other))
        return await self._login(protocol, startup, route, replace(database, uri=last))

    async def _login(self, protocol: Protocol, startup: Startup, route: Route, database: Database) -> Backend:
        line = await self.connect(protocol, route.db_user, database, startup)
        try:
            async with asyncio.timeout(self.login_seconds):
                details = Login(startup, route, database, _secret(database), line.said)
                ready = await drive(protocol.login(details), line)
                if line.said:
                    self.greetings.learn(database, line.said)
                return Backend(await line.adopt(), ready)
        except TimeoutError as error:
            line.close()
            raise BackendError(
                f"{database.uri} did not finish the login in {self.login_seconds:g} s"
            ) from error
        except ProtocolError as error:
            line.close()
            raise BackendError(f"login to {database.uri} as {route.db_user} failed: {error}") from error
        except BaseException:
            line.close()
            raise

    async def greeting(self, protocol: Protocol, database: Database) -> bytes:
        """What the database's server says first; empty where it does not, or where nobody can ask it."""
        if protocol.speaks_first is None or database.elsewhere:
            return b""
        known = self.greetings.of(database)
        if known is not None:
            return known
        line, said = Line(None), b""
        try:
            async with asyncio.timeout(self.dial_seconds):
                line = Line(await reach(database.uri, protocol.default_port, self.refused))
                said = await drive(protocol.speaks_first.read(), line)
        except (TimeoutError, OSError, ProtocolError):
            pass  # the session finds out for itself, and tells
        finally:
            line.close()
        self.greetings.learn(database, said)
        return said

    async def connect(
        self, protocol: Protocol, db_user: str, database: Database, startup: Startup = NO_STARTUP
    ) -> Line:
        """A connection up to the end of TLS, verified."""
        line = Line(None)
        try:
            async with asyncio.timeout(self.dial_seconds):
                sock = await reach(database.uri, protocol.default_port, self.refused)
                line = Line(sock, upgrade=await self._upgrade(db_user, database))
                said = await drive(protocol.dial(database, startup), line)
                line.said = said or b""
                return line
        except BaseException as error:
            line.close()  # it knows whether the socket is its own still, or a TLS transport's
            self._explain(database, error)
            raise

    def _explain(self, database: Database, error: BaseException) -> None:
        """Raise what failed in the operator's words; a cancellation, or a bug, is nobody's to explain."""
        if isinstance(error, TimeoutError):
            raise BackendError(f"{database.uri} did not answer in {self.dial_seconds:g} s") from error
        if isinstance(error, ssl.SSLCertVerificationError):
            raise BackendError(
                f"the certificate of {database.uri} was refused: {error.verify_message}",
                hint="sign one with `regate auth sign --format=db`, or name its CA in tls.ca_cert_file",
            ) from error
        if isinstance(error, OSError | ProtocolError):
            raise BackendError(f"cannot reach {database.uri}: {_words(error)}") from error

    async def cancel(self, protocol: Protocol, db_user: str, database: Database, key: bytes) -> None:
        """Ask the database to cancel what runs under *key*."""
        line = await self.connect(protocol, db_user, database)
        try:
            async with asyncio.timeout(self.login_seconds):
                route = Route(database.name, database.protocol, db_user, "")
                details = Login(NO_STARTUP, route, database, _secret(database), line.said)
                await drive(protocol.cancel(key, details), line)
        except (TimeoutError, ProtocolError) as error:
            raise BackendError(f"{database.uri} did not take the cancel request") from error
        finally:
            line.close()

    async def _upgrade(self, db_user: str, database: Database) -> Upgrade:
        """TLS with a certificate of the database user's, made for this connection alone."""
        name = database.tls.server_name
        if not name and not database.uri.startswith(UNIX):
            name = address.parse(database.uri, default_port=0).host
        return client_upgrade(await self.minted.take(database, db_user), name)


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)


def _secret(database: Database) -> str | None:
    """The password the gateway holds, read at each login so that a rotated one is taken up."""
    if database.auth not in {BackendAuth.SCRAM, BackendAuth.PASSWORD}:
        return None
    if database.secret_env:
        secret = os.environ.get(database.secret_env, "")
    else:
        try:
            secret = Path(database.secret_file).read_text("utf-8").partition("\n")[0]
        except OSError as error:
            raise BackendError(
                f"the secret of database {database.name} cannot be read: {_words(error)}"
            ) from error
    if not secret:
        raise BackendError(
            f"database {database.name} has no secret", hint="set auth.secret_file or auth.secret_env"
        )
    return secret
