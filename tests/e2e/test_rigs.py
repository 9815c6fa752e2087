"""The clients themselves, straight at a bare PostgreSQL: a red test here is not Regate's fault."""

import pytest

from tests.e2e.access import Access
from tests.e2e.drivers import DRIVERS
from tests.servers.certificates import Authority
from tests.servers.postgres import Postgres

pytestmark = pytest.mark.db

STEPS = [
    "run select 1, 'a'",
    "bind 7 select ?::int",
    "run select nothing",
    "run select * from (values (1), (2)) v",
]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_client_tells_rows_and_states_over_mutual_tls(
    driver: str, bare_postgres: Postgres, authority: Authority
) -> None:
    files = authority.client("alice")
    access = Access("localhost", bare_postgres.port, "alice", "mydb", files.certificate, files.key, files.ca)
    assert DRIVERS[driver](access, STEPS) == ["1|a", "1;2;3;4;5;6;7", "!42703", "1;2"]
