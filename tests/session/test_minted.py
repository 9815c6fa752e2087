"""Certificates for sessions: each used once, the next one ready, and none for a database that has changed."""

import ssl
from dataclasses import replace

from gateway.clock import SystemClock
from gateway.model.resource import Database
from gateway.session.minted import SPARE_SECONDS, Minted
from tests.session.surroundings import settled

PLACE = Database("orders", "postgres", "localhost:1")


class Maker:
    def __init__(self) -> None:
        self.made: list[tuple[Database, str]] = []

    async def __call__(self, database: Database, db_user: str) -> ssl.SSLContext:
        self.made.append((database, db_user))
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class LaterClock(SystemClock):
    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


async def test_no_two_sessions_share_a_certificate() -> None:
    minted = Minted(Maker(), SystemClock())
    taken = []
    for _ in range(5):
        taken.append(await minted.take(PLACE, "alice"))
        await settled()
    assert len({id(context) for context in taken}) == 5


async def test_the_next_one_is_ready_and_only_for_the_same_user() -> None:
    maker = Maker()
    minted = Minted(maker, SystemClock())
    await minted.take(PLACE, "alice")
    await settled()
    assert maker.made == [(PLACE, "alice")] * 2
    await minted.take(PLACE, "bob")
    assert maker.made[2] == (PLACE, "bob")
    await settled()


async def test_a_spare_does_not_outlive_its_minute() -> None:
    maker, clock = Maker(), LaterClock()
    minted = Minted(maker, clock)
    await minted.take(PLACE, "alice")
    await settled()
    clock.seconds = SPARE_SECONDS + 1
    await minted.take(PLACE, "alice")
    assert len(maker.made) >= 3
    await settled()


async def test_a_database_that_moved_gets_a_new_one() -> None:
    maker = Maker()
    minted = Minted(maker, SystemClock())
    await minted.take(PLACE, "alice")
    await settled()
    moved = replace(PLACE, uri="elsewhere:1")
    await minted.take(moved, "alice")
    assert (moved, "alice") in maker.made
    await settled()


async def test_a_failure_in_advance_is_found_by_the_session_that_needs_it() -> None:
    minted = Minted(Maker(), SystemClock())
    await minted.take(PLACE, "alice")
    await settled()

    async def fail(_database: Database, _user: str) -> ssl.SSLContext:
        raise ValueError("no")

    minted._make = fail
    await minted.take(PLACE, "alice")
    await settled()
