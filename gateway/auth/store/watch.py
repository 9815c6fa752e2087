"""Word of what other processes changed: one question, asked whenever somebody rings, and now and then anyway.

What rings is PostgreSQL's NOTIFY, or on SQLite ``PRAGMA data_version``, looked at a few times a second: that
number moves with every commit of another connection, on this host. The question is the same on both: which
numbers have risen. It is asked every two seconds in any case, which also says whether the state can be
reached at all.
"""

import asyncio  # noqa: TID251
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import Any

from asyncpg import PostgresError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.auth.store.reading import DATA_REVISION, KEY_REVISION, read_counters

CHANNEL = "regate_changes"
HEARTBEAT_SECONDS = 2.0
LOOK_SECONDS = 0.25
ANSWER_SECONDS = 5.0
TOPICS = (DATA_REVISION, KEY_REVISION)


async def revisions(engine: AsyncEngine) -> AsyncGenerator[Mapping[str, int] | Exception]:
    """The numbers of ``TOPICS`` as they rise and at every heartbeat; an error when there is no answer.

    It never ends by itself: after an error it tries again half a second later.
    """
    ringing = _notified if engine.dialect.name == "postgresql" else _looked_at
    while True:
        try:
            async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                try:
                    async with aclosing(ringing(connection)) as rings:
                        async for _ in rings:
                            async with asyncio.timeout(ANSWER_SECONDS):
                                found = await read_counters(connection, TOPICS)
                                await connection.rollback()  # nothing is held between two looks
                            yield found
                finally:
                    await connection.invalidate()  # it listens still, so nobody else may have it
        except (OSError, SQLAlchemyError, PostgresError) as error:
            yield error
        await asyncio.sleep(2 * LOOK_SECONDS)


async def _notified(connection: AsyncConnection) -> AsyncGenerator[None]:
    """Rings at each NOTIFY of the channel, and at each heartbeat; ends when the connection is lost."""
    driver: Any = (await connection.get_raw_connection()).driver_connection
    rung, lost = asyncio.Event(), asyncio.Event()

    def ring(*_: object) -> None:
        rung.set()

    def lose(*_: object) -> None:
        lost.set()
        rung.set()

    driver.add_termination_listener(lose)
    await driver.add_listener(CHANNEL, ring)
    while not lost.is_set():
        rung.clear()
        yield
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await rung.wait()


async def _looked_at(connection: AsyncConnection) -> AsyncGenerator[None]:
    """Rings when another connection has committed, and at each heartbeat."""
    loop = asyncio.get_running_loop()
    last, rung_at = -1, 0.0
    while True:
        async with asyncio.timeout(ANSWER_SECONDS):
            version = int((await connection.exec_driver_sql("PRAGMA data_version")).scalar_one())
            await connection.rollback()
        if version != last or loop.time() - rung_at >= HEARTBEAT_SECONDS:
            last, rung_at = version, loop.time()
            yield
        await asyncio.sleep(LOOK_SECONDS)
