import psycopg
import pytest

from tests.servers import pgbouncer
from tests.servers.certificates import Authority
from tests.servers.postgres import Postgres

pytestmark = pytest.mark.db


def test_a_pooled_session_is_encrypted_and_certified_on_both_legs(
    bare_postgres: Postgres, authority: Authority
) -> None:
    client = authority.client("alice")
    with (
        pgbouncer.running(
            bare_postgres, front=authority.server(), backend=client, users=("alice",)
        ) as pooler,
        psycopg.connect(
            host="localhost",
            port=pooler.port,
            user="alice",
            dbname="mydb",
            sslmode="verify-full",
            sslrootcert=str(client.ca),
            sslcert=str(client.certificate),
            sslkey=str(client.key),
        ) as connection,
    ):
        seen = connection.execute(
            "select ssl, client_dn from pg_stat_ssl where pid = pg_backend_pid()"
        ).fetchone()
    assert seen == (True, "/CN=alice")


def test_the_pooler_refuses_a_client_without_a_certificate(
    bare_postgres: Postgres, authority: Authority
) -> None:
    client = authority.client("alice")
    with (
        pgbouncer.running(
            bare_postgres, front=authority.server(), backend=client, users=("alice",)
        ) as pooler,
        pytest.raises(psycopg.OperationalError),
    ):
        psycopg.connect(
            host="localhost", port=pooler.port, user="alice", dbname="mydb", sslmode="require"
        ).close()
