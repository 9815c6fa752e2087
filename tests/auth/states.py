"""An empty state: SQLite, and PostgreSQL where one can be started."""

import os
from pathlib import Path

import pytest

from tests.servers.postgres import Postgres


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.db)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A state of the test's own."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}"
    return new_state(request.getfixturevalue("bare_postgres"))


def new_state(server: Postgres) -> str:
    """The URL of an empty database on *server*, over its unix socket."""
    name = f"state_{os.urandom(4).hex()}"
    server.create(name)
    return f"postgresql://postgres@/{name}?host={server.socket}&port={server.port}"
