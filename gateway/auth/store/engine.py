"""Opens the database behind a URL, and brings its tables up to date.

SQLite runs in WAL mode with full syncing: a token that was redeemed stays redeemed after a power cut.
Writers begin with ``BEGIN IMMEDIATE``, so that a transaction that reads first cannot fail when it comes to
write. On PostgreSQL they take a lock on the revision's row, to the same effect.
"""

import fcntl
import os
import sqlite3
import ssl
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from asyncpg import PostgresError
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.engine.url import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.errors import ConfigError, StateError
from gateway.storage import Storage, is_socket

WRITES = "regate_writes"
"""The execution option that marks a connection whose transactions write."""

CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 10.0
# A node that hangs in the middle of a change must not keep all others from writing.
_SETTINGS = {
    "application_name": "regate",
    "lock_timeout": "8000",
    "idle_in_transaction_session_timeout": "15000",
}
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
BUSY_TIMEOUT_S = 5.0
_ADVISORY_LOCK = 0x52454741  # any constant that nobody else uses on that database


def open_engine(storage: Storage) -> AsyncEngine:
    """An engine for ``sqlite:///path`` or ``postgresql://…``; nothing is connected yet."""
    parsed = _parse(storage.url)
    if parsed.get_backend_name() == "postgresql":
        return create_async_engine(
            parsed,
            pool_pre_ping=True,
            pool_timeout=CONNECT_SECONDS,
            connect_args=_connect_args(storage),
        )
    assert parsed.database
    _prepare_file(Path(parsed.database))
    engine = create_async_engine(parsed)
    event.listen(engine.sync_engine, "connect", _configure_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _connect_args(storage: Storage) -> dict[str, Any]:
    """What asyncpg takes besides the address; the password is asked for at each connection."""
    found: dict[str, Any] = {
        "timeout": CONNECT_SECONDS,
        "command_timeout": COMMAND_SECONDS,
        "server_settings": _SETTINGS,
        "ssl": _tls(storage) if storage.tls and not is_socket(storage.url) else False,
    }
    if storage.password_file or storage.password_env:
        found["password"] = partial(_password, storage)
    return found


def _password(storage: Storage) -> str:
    secret = os.environ.get(storage.password_env, "") if storage.password_env else ""
    if storage.password_file is not None:
        try:
            secret = storage.password_file.read_text("utf-8").partition("\n")[0]
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{storage.password_file}, the state's password, cannot be read") from error
    if not secret:
        raise ConfigError("the state's password is empty", hint="see auth_service.storage")
    return secret


def _tls(storage: Storage) -> ssl.SSLContext:
    """Chain and name are verified, with the system's roots where no authority is named."""
    try:
        context = ssl.create_default_context(cafile=storage.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if storage.cert_file is not None:
            context.load_cert_chain(storage.cert_file, storage.key_file)
    except OSError as error:  # SSLError is one
        raise ConfigError(f"auth_service.storage.tls cannot be used: {error.strerror or error}") from error
    return context


@contextmanager
def reaching() -> Iterator[None]:
    """Turns a failure of the database, or of the way to it, into a StateError."""
    try:
        yield
    except (DBAPIError, PoolTimeout, OSError) as error:
        cause = getattr(error, "orig", None) or error
        reason = "no answer in time" if isinstance(cause, TimeoutError) else type(cause).__name__
        raise StateError(
            f"the stored state cannot be reached ({reason})", hint="try again when its database is back"
        ) from error


async def migrate(engine: AsyncEngine) -> None:
    """Bring the tables to the newest form; several processes may try at once."""
    try:
        async with engine.execution_options(**{WRITES: True}).begin() as connection:
            await connection.run_sync(_upgrade)
    except (OSError, SQLAlchemyError, PostgresError) as error:
        reason = str(getattr(error, "orig", None) or error) or type(error).__name__
        raise ConfigError(f"the stored state cannot be opened: {reason}") from error


def alembic_config(connection: Connection) -> Config:
    """The migrations that ship with the program, to run on *connection*."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError("storage url: expected sqlite:///path or postgresql://…") from error
    name = parsed.get_backend_name()
    if name == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise ConfigError("storage url: expected a file behind sqlite:///")
    if name not in _DRIVERS:
        raise ConfigError(f"storage url: expected sqlite or postgresql, got {name}")
    return parsed.set(drivername=_DRIVERS[name])


def _prepare_file(path: Path) -> None:
    """A private file in WAL mode, made by one process at a time.

    Two that switch a new file to WAL at once would both hold what the other waits for, and SQLite answers
    that with an error at once, whatever its timeout. Its -wal and -shm files get the mode of the database.
    """
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            _create_private(path)
            with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigError(f"{path} cannot be opened: {error.strerror}") from error
    except sqlite3.Error as error:
        raise ConfigError(f"the stored state cannot be opened: {error}") from error


def _create_private(path: Path) -> None:
    # A file that is there is not opened: closing it again would drop the locks this process holds on it.
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with suppress(FileExistsError):
        os.close(os.open(path, flags, 0o600))
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise ConfigError(f"{path} cannot be opened: it is a symbolic link")
    if found.st_mode & 0o077:
        raise ConfigError(f"{path} may be read by others", hint=f"chmod 600 {path}")


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says
    cursor = connection.cursor()
    busy = f"busy_timeout={int(BUSY_TIMEOUT_S * 1000)}"  # first: what follows may have to wait
    for pragma in (busy, "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    try:
        command.upgrade(alembic_config(connection), "head")
    except CommandError as error:
        raise ConfigError(
            f"the stored state is of another version of regate: {error}",
            hint="start the version that wrote it, or a newer one",
        ) from error
