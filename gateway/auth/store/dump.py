"""The whole state as values, and back: every table there is, whichever database it is kept in.

The rows are those of one moment. They go back under the migration that they were read under, so that a
newer program migrates them as it would have in place, and an older one refuses them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from alembic import command
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from asyncpg import PostgresError
from sqlalchemy import Connection, MetaData, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.auth.store.engine import WRITES, alembic_config, open_engine
from gateway.auth.store.watch import TOPICS
from gateway.errors import ConfigError
from gateway.storage import Storage

_MIGRATIONS = "alembic_version"
_NOTHING = "there is no state to back up"
_FORGOTTEN = ("tokens", "attempts", "bots")

Rows: TypeAlias = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Dump:
    """Every table's rows, as the migration *version* has them; values are text, numbers or None."""

    version: str
    tables: Rows

    @property
    def revisions(self) -> dict[str, int]:
        """The numbers that rise with every change."""
        return {
            str(row["name"]): int(row["value"])
            for row in self.tables.get("counters", ())
            if row["name"] in TOPICS
        }


async def read(storage: Storage) -> Dump:
    """The state as of one moment; ConfigError when there is none or it cannot be read."""
    if _is_missing(storage):
        raise ConfigError(_NOTHING, hint="start the service once: regate start")
    engine = open_engine(storage)
    try:
        # A transaction that sees one moment throughout; SQLite's always do.
        level = {"isolation_level": "REPEATABLE READ"} if storage.is_shared else {}
        async with engine.execution_options(**level).begin() as connection:
            found = await connection.run_sync(_read)
    except (OSError, SQLAlchemyError, PostgresError) as error:
        raise _unreachable(error) from error
    finally:
        await engine.dispose()
    if found is None:
        raise ConfigError(_NOTHING, hint="start the service once: regate start")
    return found


async def write(storage: Storage, dump: Dump, *, now: int, force: bool) -> dict[str, int]:
    """Put *dump* in the place of the state, in one transaction; returns the new revisions.

    Revisions never go back, and none is used again: they continue at the time *now* in seconds, or above
    what the dump or the state had. What is used once (tokens, a bot's certificates) is forgotten, as nobody
    knows which of it was. A state that is there already is a ConfigError unless *force* is set.
    """
    engine = open_engine(storage)
    try:
        async with engine.execution_options(**{WRITES: True}).begin() as connection:
            return await connection.run_sync(_write, dump, now, force)
    except (OSError, SQLAlchemyError, PostgresError) as error:
        raise _unreachable(error) from error
    finally:
        await engine.dispose()


async def check_empty(storage: Storage) -> None:
    """ConfigError when there is a state already."""
    if _is_missing(storage):
        return
    engine = open_engine(storage)
    try:
        async with engine.connect() as connection:
            _refuse(await connection.run_sync(_read))
    except (OSError, SQLAlchemyError, PostgresError) as error:
        raise _unreachable(error) from error
    finally:
        await engine.dispose()


def _is_missing(storage: Storage) -> bool:
    """True for an SQLite file that is not there: opening it would make it."""
    return not storage.is_shared and not Path(storage.url.removeprefix("sqlite:///")).exists()


def _refuse(before: Dump | None) -> None:
    if before is not None and any(before.tables.get(name) for name in ("sealed", "resources")):
        hint = "back it up, then give --force to put this one in its place"
        raise ConfigError("there is a state already", hint=hint)


def _unreachable(error: Exception) -> ConfigError:
    reason = str(getattr(error, "orig", None) or error) or type(error).__name__
    return ConfigError(f"the stored state cannot be opened: {reason}")


def _read(connection: Connection) -> Dump | None:
    version = _version(connection)
    if not version:
        return None
    tables: dict[str, list[dict[str, Any]]] = {}
    for table in _reflected(connection).sorted_tables:
        if table.name != _MIGRATIONS:
            tables[table.name] = [dict(row) for row in connection.execute(select(table)).mappings()]
    return Dump(version, tables)


def _write(connection: Connection, dump: Dump, now: int, force: bool) -> dict[str, int]:  # noqa: FBT001 -- run_sync passes by place
    before = _read(connection)
    if not force:
        _refuse(before)
    _reflected(connection).drop_all(connection)
    _migrate(connection, dump.version)
    _fill(connection, dump)
    counters = _reflected(connection).tables["counters"]
    revisions: dict[str, int] = {}
    for name, value in dump.revisions.items():
        old = before.revisions.get(name, 0) if before is not None else 0
        revisions[name] = max(value + 1, old + 1, now)
        done = counters.update().where(counters.c.name == name).values(value=revisions[name])
        connection.execute(done)
    return revisions


def _fill(connection: Connection, dump: Dump) -> None:
    reflected = _reflected(connection)
    unknown = sorted(dump.tables.keys() - reflected.tables.keys())
    if unknown:
        raise ConfigError(f"the backup has a table that its version does not have: {unknown[0][:64]!r}")
    for table in reflected.sorted_tables:
        if table.name in {_MIGRATIONS, *_FORGOTTEN}:
            continue
        connection.execute(table.delete())  # a migration may have put rows in
        if rows := [dict(row) for row in dump.tables.get(table.name, ())]:
            connection.execute(table.insert(), rows)


def _migrate(connection: Connection, version: str) -> None:
    config = alembic_config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version not in known:
        raise ConfigError(
            f"the backup is of another version of regate: its state is {version[:64]!r}",
            hint="restore it with the version that wrote it, or a newer one",
        )
    try:
        command.upgrade(config, version)
    except CommandError as error:
        raise ConfigError(f"the backup cannot be restored: {error}") from error


def _version(connection: Connection) -> str:
    if not inspect(connection).has_table(_MIGRATIONS):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def _reflected(connection: Connection) -> MetaData:
    found = MetaData()
    found.reflect(connection)
    return found
