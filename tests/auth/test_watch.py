"""Word of what another process changed: two stores on one state, as two nodes have them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from gateway.auth import limits
from gateway.auth.store import DATA_REVISION, KEY_REVISION, Resource, Store
from gateway.errors import AccessError, StateError
from tests.auth.states import new_state
from tests.auth.states import url as url  # noqa: PLC0414 # a fixture
from tests.servers import certificates, postgres
from tests.servers.process import temporary_folder
from tests.steady import Steady

SECOND = 1_000_000_000


def _role(name: str) -> Resource:
    return Resource("role", name, "v7", {"kind": "role", "metadata": {"name": name}, "spec": {}})


@asynccontextmanager
async def _watched(store: Store) -> AsyncIterator[list[Exception | None]]:
    heard: list[Exception | None] = []
    watching = asyncio.create_task(store.watch(heard.append))
    try:
        while not heard:  # noqa: ASYNC110 # the first word
            await asyncio.sleep(0.01)
        yield heard
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


@asynccontextmanager
async def _two(url: str) -> AsyncIterator[tuple[Store, Store]]:
    async with await Store.open(url) as first, await Store.open(url) as second:
        yield first, second


async def _soon(news: AsyncIterator[int]) -> int:
    """What is told within a second."""
    async with asyncio.timeout(30), Steady() as passed:
        told = await anext(news)
        assert passed.seconds < 1
    return told


async def test_a_change_reaches_the_other_node_within_a_second(url: str) -> None:
    async with _two(url) as (first, second), _watched(second):
        news = second.subscribe()
        assert await anext(news) == 0
        for number in range(1, 4):
            await first.create(_role(f"role{number}"))
            assert await _soon(news) == number
            assert (await second.snapshot()).revision == number


async def test_changes_of_keys_are_a_topic_of_their_own(url: str) -> None:
    async with _two(url) as (first, second), _watched(second):
        data, keys = second.subscribe(DATA_REVISION), second.subscribe(KEY_REVISION)
        await anext(data), await anext(keys)
        async with first.change() as change:
            await change.put_sealed("user", "x")
        assert await _soon(keys) == 1
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await anext(data)


async def test_numbers_rise_whichever_node_changes_something(url: str) -> None:
    async with _two(url) as (first, second):
        made = [await store.create(_role(f"r{n}")) for n, store in enumerate([first, second] * 5)]
        assert [resource.revision for resource in made] == list(range(1, 11))
        await asyncio.gather(
            *(store.create(_role(f"at-once-{n}")) for n, store in enumerate([first, second] * 5))
        )
        found = sorted(resource.revision for resource in await second.list("role"))
        assert found == list(range(1, 21))


async def test_a_change_that_is_undone_is_not_told(url: str) -> None:
    async with _two(url) as (first, second), _watched(second):
        news = second.subscribe()
        await anext(news)
        with suppress(ZeroDivisionError):
            async with first.change() as change:
                await change.create(_role("never"))
                raise ZeroDivisionError
        await first.create(_role("kept"))
        assert await _soon(news) == 1


async def test_limits_hold_over_all_nodes_together(url: str) -> None:
    async with _two(url) as (first, second):
        for number in range(limits.LOGIN_USER.count):
            async with (first, second)[number % 2].change() as change:
                await limits.attempt(change, limits.LOGIN_USER, "ada", number)
        for store in (first, second):
            with pytest.raises(AccessError, match="too many attempts"):
                async with store.change() as change:
                    await limits.attempt(change, limits.LOGIN_USER, "ada", SECOND)


async def test_the_latest_time_of_issuing_is_that_of_the_node_whose_clock_is_ahead(url: str) -> None:
    async with _two(url) as (first, second):
        for store, value in ((first, 100), (second, 70), (first, 90)):
            async with store.change() as change:
                await change.set_counter("issued_at_ns", value)
        assert await second.counter("issued_at_ns") == 100


async def test_nodes_with_the_same_policies_number_them_alike(url: str) -> None:
    async with _two(url) as (first, second):
        assert await first.bundle_number("a" * 64, 1) == 1
        assert await second.bundle_number("a" * 64, 1) == 1
        assert await second.bundle_number("b" * 64, 2) == 2
        assert await first.bundle_number("a" * 64, 1) == 3, "what comes back comes as something newer"
        assert await first.bundle_number("b" * 64, 9) == 9, "a node that was further ahead stays so"


@pytest.mark.db
async def test_a_state_that_goes_away_is_said_and_heard_of_again(
    authority: certificates.Authority,
) -> None:
    server = authority.server()
    with temporary_folder("regate-pg-") as folder:
        settings: dict[str, Any] = {
            "certificate": server.certificate,
            "key": server.key,
            "client_ca": server.ca,
            "folder": folder,
        }
        with postgres.running(**settings) as running:
            url, port = new_state(running), running.port
            store = await Store.open(url)
        with pytest.raises(StateError, match="cannot be reached"):
            await store.list("role")
        with pytest.raises(StateError, match="cannot be reached"):
            await store.create(_role("a"))
        heard: list[Exception | None] = []
        watching = asyncio.create_task(store.watch(heard.append))
        while not heard:  # noqa: ASYNC110 # the first word
            await asyncio.sleep(0.01)
        assert heard[0] is not None
        with postgres.running(**settings, port=port):
            async with asyncio.timeout(60):
                while heard[-1] is not None:  # noqa: ASYNC110 # until it is back
                    await asyncio.sleep(0.05)
            news = store.subscribe()
            await anext(news)
            async with await Store.open(url) as other:
                await other.create(_role("b"))
            assert await _soon(news) == 1
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await store.close()
