import os
import subprocess
from pathlib import Path

import psycopg
import pytest

from tests.servers.certificates import Authority, Files
from tests.servers.postgres import Postgres, counted

pytestmark = pytest.mark.db


def connect(server: Postgres, user: str, files: Files, application: str = "test") -> psycopg.Connection:
    return psycopg.connect(
        host="localhost",
        port=server.port,
        user=user,
        dbname="mydb",
        sslmode="verify-full",
        sslrootcert=str(files.ca),
        sslcert=str(files.certificate),
        sslkey=str(files.key),
        application_name=application,
    )


def test_a_certificate_opens_the_user_it_names(bare_postgres: Postgres, authority: Authority) -> None:
    with connect(bare_postgres, "alice", authority.client("alice")) as connection:
        row = connection.execute(
            "select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()"
        ).fetchone()
    assert row == ("alice", True)


def test_a_certificate_opens_no_other_user(bare_postgres: Postgres, authority: Authority) -> None:
    with pytest.raises(psycopg.OperationalError, match="certificate authentication failed"):
        connect(bare_postgres, "bob", authority.client("alice"))


def test_another_authority_opens_nothing(
    bare_postgres: Postgres, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger").client("alice")
    with pytest.raises(psycopg.OperationalError, match=r"unknown ca|SSL"):
        connect(bare_postgres, "alice", Files(stranger.certificate, stranger.key, authority.ca))


def test_the_superuser_is_not_reachable_over_tcp(bare_postgres: Postgres, authority: Authority) -> None:
    done = subprocess.run(
        [
            "psql",
            "-X",
            "-c",
            "select 1",
            f"host=127.0.0.1 port={bare_postgres.port} user=postgres sslmode=disable",
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PGPASSWORD": ""},
    )
    assert done.returncode == 2
    assert "no pg_hba.conf entry" in done.stderr


def test_the_log_names_each_statement_once(bare_postgres: Postgres, authority: Authority) -> None:
    with connect(bare_postgres, "alice", authority.client("alice"), application="counting") as connection:
        connection.autocommit = True
        connection.execute("select 'simple'")
        for number in (1, 2):
            connection.execute("select %s::int", (number,), prepare=True)
    own = [logged for logged in bare_postgres.statements() if logged.application == "counting"]
    assert counted(own) == {"select 'simple'": 1, "select $1::int": 2}
