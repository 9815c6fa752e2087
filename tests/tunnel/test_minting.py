"""What a session shows its database is asked for ahead, once, and only where the database wants to see it."""

import asyncio
from datetime import timedelta
from typing import cast

import pytest

from gateway.ca import issue
from gateway.ca.profile import Kind, public_key_from_csr
from gateway.clock import SystemClock
from gateway.errors import AccessError, BackendError
from gateway.model.identity import Identity, Route, Use
from gateway.model.resource import BackendAuth, BackendTls, Database
from gateway.tunnel.minting import RemoteSettings
from gateway.tunnel.remote import Remote
from tests.ca.material import NOW, authorities

ROUTE = Route("sales", "postgres", "ada", "orders")
SALES = Database("sales", "postgres", "localhost:5432")


class Credentials:
    db_ca = authorities().trusted_pem(Kind.DB)


class Auth:
    """The auth service, which mints, refuses, or does not answer."""

    def __init__(self, *, refuses: bool = False, hangs: bool = False) -> None:
        self.credentials = Credentials()
        self.refuses = refuses
        self.hangs = hangs
        self.asked: list[bytes] = []
        self.gave_up = asyncio.Event()

    async def mint(self, session: bytes, csr: str) -> str:
        self.asked.append(session)
        if self.refuses:
            raise AccessError("no role of yours allows it", code="access_denied")
        try:
            if self.hangs:
                await asyncio.Event().wait()
        finally:
            self.gave_up.set()
        return issue.issue_db_client(
            authorities().db_client,
            cluster="example",
            db_user=ROUTE.db_user,
            public_key=public_key_from_csr(csr),
            ttl=timedelta(hours=1),
            now=NOW,
        ).pem


def identity() -> Identity:
    return Identity("ada", (), {}, "example", Use.SESSION, NOW, NOW, "1", ROUTE)


def settings(auth: Auth) -> RemoteSettings:
    return RemoteSettings(cast("Remote", auth), SystemClock())


async def test_it_is_asked_for_before_it_is_needed_and_once() -> None:
    auth = Auth()
    known = settings(auth)
    with known.session(identity(), b"shown", SALES):
        await auth.gave_up.wait()
        first = await known.take(SALES, "ada")
        assert await known.take(SALES, "ada") is first
    assert auth.asked == [b"shown"]


async def test_a_session_that_ends_before_does_not_wait_for_it() -> None:
    auth = Auth(hangs=True)
    with settings(auth).session(identity(), b"shown", SALES):
        await asyncio.sleep(0)
    await auth.gave_up.wait()


async def test_a_refusal_is_told_to_who_needs_it_and_to_nobody_else() -> None:
    auth = Auth(refuses=True)
    known = settings(auth)
    with known.session(identity(), b"shown", SALES), pytest.raises(BackendError, match="no role of yours"):
        await known.take(SALES, "ada")
    with known.session(identity(), b"other", SALES):
        await asyncio.sleep(0)
    assert auth.asked == [b"shown", b"other"]


@pytest.mark.parametrize(
    "database", [None, Database("sales", "postgres", "localhost:5432", auth=BackendAuth.SCRAM)]
)
async def test_where_no_certificate_is_shown_none_is_made(database: Database | None) -> None:
    auth = Auth()
    with settings(auth).session(identity(), b"shown", database):
        await asyncio.sleep(0)
    assert auth.asked == []


async def test_another_anchor_than_it_was_made_with_needs_another() -> None:
    auth = Auth()
    known = settings(auth)
    with known.session(identity(), b"shown", SALES):
        await asyncio.sleep(0)
        moved = Database(
            "sales", "postgres", "localhost:5432", tls=BackendTls(ca=authorities().trusted_pem(Kind.HOST))
        )
        assert await known.take(moved, "ada") is not None
    assert len(auth.asked) == 2
