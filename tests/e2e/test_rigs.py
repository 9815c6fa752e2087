"""The clients themselves, straight at a bare PostgreSQL: a red test here is not Regate's fault."""

from pathlib import Path

import pytest

from tests.e2e.access import Access
from tests.e2e.jdbc import driver
from tests.servers.certificates import Authority
from tests.servers.postgres import Postgres

pytestmark = pytest.mark.db


def test_pgjdbc_runs_statements_over_mutual_tls(
    bare_postgres: Postgres, authority: Authority, tmp_path: Path
) -> None:
    files = authority.client("alice")
    access = Access("localhost", bare_postgres.port, "alice", "mydb", files.certificate, files.key, files.ca)
    answers = driver.session(
        driver.url(access, tmp_path), ["run select 1, 'a'", "bind 7 select ?::int", "run select nothing"]
    )
    assert answers[0].rows == "1|a"
    assert answers[1].rows == "1;2;3;4;5;6;7"
    assert answers[2].state == "42703"
