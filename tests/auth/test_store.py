"""The store over SQLite, and over PostgreSQL where one can be started."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from gateway.auth.store import Resource, Store
from gateway.auth.store.engine import open_engine
from gateway.auth.store.tables import metadata
from gateway.errors import ConfigError, ConflictError, NotFoundError
from gateway.storage import Storage
from tests.auth.states import url as url  # noqa: PLC0414 # a fixture

DIGEST = "0" * 64


def role(name: str, label: str = "*") -> Resource:
    document = {"kind": "role", "metadata": {"name": name}, "spec": {"allow": {"db_labels": {label: label}}}}
    return Resource("role", name, "v7", document)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with await Store.open(url) as found:
        yield found


async def test_what_was_stored_is_read_back(store: Store) -> None:
    stored = await store.create(role("reader"))
    assert stored == replace(role("reader"), revision=1)
    assert await store.get("role", "reader") == stored
    assert await store.find("role", "other") is None
    with pytest.raises(NotFoundError, match="role 'other' does not exist"):
        await store.get("role", "other")


async def test_lists_are_in_the_order_of_names(store: Store) -> None:
    for name in ("b", "c", "a"):
        await store.create(role(name))
    assert [item.name for item in await store.list("role")] == ["a", "b", "c"]
    assert await store.list("user") == []


async def test_a_second_of_a_name_is_a_conflict_unless_it_replaces(store: Store) -> None:
    await store.create(role("reader"))
    with pytest.raises(ConflictError, match="exists already"):
        await store.create(role("reader", "env"))
    assert store.data_revision == 1
    await store.create(role("reader", "env"), replace=True)
    assert (await store.get("role", "reader")).document == role("reader", "env").document


async def test_an_update_needs_the_revision_that_was_read(store: Store) -> None:
    first = await store.create(role("reader"))
    second = await store.update(role("reader", "env"), expected=first.revision)
    assert second.revision > first.revision
    with pytest.raises(ConflictError, match="changed in between"):
        await store.update(role("reader", "team"), expected=first.revision)
    assert await store.get("role", "reader") == second
    with pytest.raises(NotFoundError):
        await store.update(role("other"), expected=1)


async def test_a_revision_never_comes_back(store: Store) -> None:
    """Deleted and made again, a resource is not the one that somebody read."""
    first = await store.create(role("reader"))
    await store.delete("role", "reader")
    second = await store.create(role("reader"))
    with pytest.raises(ConflictError):
        await store.update(role("reader", "env"), expected=first.revision)
    assert (first.revision, second.revision, store.data_revision) == (1, 3, 3)


async def test_deleting_what_is_not_there_is_an_error(store: Store) -> None:
    with pytest.raises(NotFoundError):
        await store.delete("role", "reader")
    assert store.data_revision == 0


async def test_the_revision_survives_a_restart(url: str) -> None:
    async with await Store.open(url) as store:
        await store.create(role("reader"))
    async with await Store.open(url) as store:
        assert store.data_revision == 1
        assert (await store.snapshot()).revision == 1


async def test_a_failed_change_leaves_nothing_and_tells_nobody(store: Store) -> None:
    news = store.subscribe()
    assert await anext(news) == 0

    async def fail() -> None:
        async with store.change() as change:
            await change.create(role("reader"))
            await change.add_token(DIGEST, purpose="signup", owner="ada", expires_at=100)
            raise RuntimeError("the audit log cannot be written")

    with pytest.raises(RuntimeError):
        await fail()
    assert await store.list("role") == []
    assert (await store.snapshot()).revision == store.data_revision == 0
    async with store.change() as change:
        assert await change.redeem_token(DIGEST, purpose="signup", now=1) is None
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(news), 0.05)


async def test_a_cancelled_change_leaves_nothing_and_lets_the_next_in(store: Store) -> None:
    started = asyncio.Event()

    async def hang() -> None:
        async with store.change() as change:
            await change.create(role("reader"))
            started.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(store.create(role("reader")), 10)
    assert store.data_revision == 1


async def test_a_subscriber_hears_the_newest_of_many_changes(store: Store) -> None:
    news = store.subscribe()
    assert await anext(news) == 0
    for name in ("a", "b", "c"):
        await store.create(role(name))
    assert await anext(news) == 3
    waiting = asyncio.create_task(anext(news))
    await asyncio.sleep(0)
    await store.delete("role", "a")
    assert await asyncio.wait_for(waiting, 5) == 4


async def test_secrets_and_attempts_do_not_raise_the_revision(store: Store) -> None:
    async with store.change() as change:
        await change.set_password("ada", "hash")
        await change.add_attempt("1", "bucket", 1)
    assert store.data_revision == 0


async def test_a_snapshot_holds_no_secret(store: Store) -> None:
    user = Resource("user", "ada", "v2", {"kind": "user", "metadata": {"name": "ada"}})
    async with store.change() as change:
        await change.create(user)
        await change.set_password("ada", "$argon2id$secret-hash")
        await change.set_totp("ada", "SECRETSECRET")
        await change.add_token(DIGEST, purpose="signup", owner="ada", expires_at=100)
    snapshot = await store.snapshot()
    assert snapshot.users == [user.document]
    assert "secret" not in repr(snapshot).lower()
    assert DIGEST not in repr(snapshot)


async def test_a_snapshot_is_of_one_moment(store: Store) -> None:
    """Every revision adds one role, so that a torn picture has a number that does not fit."""

    async def write() -> None:
        for number in range(40):
            await store.create(role(f"r{number}"))

    async def read() -> None:
        while len((snapshot := await store.snapshot()).roles) < 40:
            assert len(snapshot.roles) == snapshot.revision

    await asyncio.wait_for(asyncio.gather(write(), read(), read()), 60)


@pytest.mark.parametrize("purpose", ["signup", "join"])
async def test_of_fifty_redemptions_at_once_one_succeeds(store: Store, purpose: str) -> None:
    async with store.change() as change:
        await change.add_token(DIGEST, purpose=purpose, owner="ada", expires_at=100)

    async def redeem() -> str | None:
        async with store.change() as change:
            return await change.redeem_token(DIGEST, purpose=purpose, now=50)

    results = await asyncio.gather(*(redeem() for _ in range(50)))
    assert sorted(result for result in results if result is not None) == ["ada"]


async def test_of_fifty_redemptions_by_two_processes_one_succeeds(url: str) -> None:
    """Two stores share nothing but the database, as two processes do."""
    async with await Store.open(url) as left, await Store.open(url) as right:
        async with left.change() as change:
            await change.add_token(DIGEST, purpose="signup", owner="ada", expires_at=100)

        async def redeem(store: Store) -> str | None:
            async with store.change() as change:
                return await change.redeem_token(DIGEST, purpose="signup", now=50)

        results = await asyncio.gather(*(redeem(store) for _ in range(25) for store in (left, right)))
    assert sorted(result for result in results if result is not None) == ["ada"]


async def test_writers_in_two_processes_do_not_lose_a_revision(url: str) -> None:
    async with await Store.open(url) as left, await Store.open(url) as right:
        names = [(store, f"{side}{n}") for n in range(20) for side, store in (("l", left), ("r", right))]
        await asyncio.gather(*(store.create(role(name)) for store, name in names))
        found = await left.list("role")
        assert sorted(item.revision for item in found) == list(range(1, 41))


@pytest.mark.parametrize(("purpose", "now"), [("join", 50), ("signup", 100), ("signup", 101)])
async def test_a_token_works_for_its_purpose_and_until_its_end(store: Store, purpose: str, now: int) -> None:
    async with store.change() as change:
        await change.add_token(DIGEST, purpose="signup", owner="ada", expires_at=100)
    async with store.change() as change:
        assert await change.token_owner(DIGEST, purpose=purpose, now=now) is None
        assert await change.redeem_token(DIGEST, purpose=purpose, now=now) is None
        assert await change.redeem_token(DIGEST, purpose="signup", now=99) == "ada"


async def test_a_new_invitation_ends_the_old_one(store: Store) -> None:
    async with store.change() as change:
        await change.add_token(DIGEST, purpose="signup", owner="ada", expires_at=100)
        await change.add_token("1" * 64, purpose="signup", owner="ada", expires_at=100)
        assert await change.redeem_token(DIGEST, purpose="signup", now=1) is None
        assert await change.redeem_token("1" * 64, purpose="signup", now=1) == "ada"


async def test_a_step_of_a_code_counts_once_and_time_does_not_go_back(store: Store) -> None:
    async with store.change() as change:
        await change.set_password("ada", "hash")
        await change.set_totp("ada", "secret")

    async def use(step: int) -> bool:
        async with store.change() as change:
            return await change.use_totp_step("ada", step)

    assert sorted(await asyncio.gather(*(use(7) for _ in range(20)))) == [False] * 19 + [True]
    assert [await use(step) for step in (6, 7, 8)] == [False, False, True]


async def test_forgetting_a_user_leaves_no_secret(store: Store) -> None:
    async with store.change() as change:
        await change.set_password("ada", "hash")
        await change.add_token(DIGEST, purpose="signup", owner="ada", expires_at=100)
        await change.forget("ada")
        assert await change.credentials("ada") is None
        assert await change.redeem_token(DIGEST, purpose="signup", now=1) is None


async def test_databases_of_the_file_are_listed_and_cannot_be_changed(store: Store) -> None:
    def database(name: str, uri: str) -> Resource:
        return Resource("db", name, "v3", {"kind": "db", "metadata": {"name": name}, "spec": {"uri": uri}})

    await store.create(database("stored", "a:1"))
    await store.declare([database("filed", "b:1"), database("another", "c:1")])
    assert [item.name for item in await store.list("db")] == ["another", "filed", "stored"]
    assert [item["metadata"]["name"] for item in (await store.snapshot()).databases] == [
        "another",
        "filed",
        "stored",
    ]
    assert store.data_revision == 2
    for attempt in (
        store.create(database("filed", "d:1")),
        store.create(database("filed", "d:1"), replace=True),
        store.delete("db", "filed"),
    ):
        with pytest.raises(ConflictError, match="comes from the configuration file"):
            await attempt
    assert (await store.get("db", "filed")).document["spec"]["uri"] == "b:1"


async def test_the_tables_are_what_the_migrations_make(url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with await Store.open(url):
        engine = open_engine(Storage(url))
        async with engine.connect() as connection:
            assert await connection.run_sync(differences) == []
        await engine.dispose()


async def test_a_store_of_a_newer_version_is_refused(url: str) -> None:
    async with await Store.open(url):
        pass
    engine = open_engine(Storage(url))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await engine.dispose()
    with pytest.raises(ConfigError, match="of another version"):
        await Store.open(url)


async def test_many_processes_may_start_at_once(url: str) -> None:
    stores = await asyncio.gather(*(Store.open(url) for _ in range(4)))
    for store in stores:
        assert store.data_revision == 0
        await store.close()


# SQLite alone


async def test_the_file_is_private_and_so_are_those_beside_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with await Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store:
            await store.create(role("reader"))
            modes = _modes(tmp_path)
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(["state.db", "state.db-wal", "state.db-shm"], 0o600)


def _modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    async with await Store.open(f"sqlite:///{tmp_path / 'state.db'}"):
        pass
    (tmp_path / "state.db").chmod(0o644)
    with pytest.raises(ConfigError, match="may be read by others"):
        await Store.open(f"sqlite:///{tmp_path / 'state.db'}")


async def test_a_link_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(ConfigError, match="cannot be opened"):
        await Store.open(f"sqlite:///{tmp_path / 'state.db'}")


async def test_what_was_committed_is_synced(tmp_path: Path) -> None:
    async with (
        await Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store,
        store._engine.connect() as connection,
    ):
        found = [
            (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous")
        ]
    assert found == ["wal", 2]


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://host/db", "sqlite", "sqlite://", "sqlite:///:memory:"]
)
async def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="storage url"):
        await Store.open(url)


async def test_a_file_that_is_no_database_is_told_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    file.touch(mode=0o600)
    file.write_bytes(b"not a database at all, but long enough to look at" * 100)
    with pytest.raises(ConfigError, match="cannot be opened: file is not a database"):
        await Store.open(f"sqlite:///{file}")


async def test_a_server_that_is_not_there_is_told_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the stored state cannot be opened") as refused:
        await Store.open(f"postgresql://regate:s3cret@/state?host={tmp_path}")
    assert "s3cret" not in str(refused.value)
