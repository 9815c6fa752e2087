"""MySQL's protocol through the gateway: a real MariaDB and its own command-line client, through a tunnel."""

from collections.abc import Iterator

import pytest

from tests.e2e import mysql_rig
from tests.e2e.cluster import Done
from tests.e2e.mysql_rig import SHOP, Rig

pytestmark = pytest.mark.db


@pytest.fixture(scope="module")
def shop() -> Iterator[Rig]:
    with mysql_rig.running() as rig:
        yield rig


def connect(rig: Rig, user: str, statement: str) -> Done:
    """``regate db connect`` with one statement."""
    return rig.cluster.users[user].regate(
        "db",
        "connect",
        "--db-user=alice",
        "--db-name=shop",
        SHOP,
        "--",
        "-B",
        "-N",
        "-e",
        statement,
        check=False,
    )


def test_a_statement_is_judged_recorded_and_answered(shop: Rig) -> None:
    done = connect(shop, "ann", "select item, total from orders order by id")
    assert (done.code, done.stdout) == (0, "lamp\t20.00\nchair\t45.50\n")
    ends = shop.cluster.audit("--user=ann", "--kind=db.session.query.end")
    assert [(item["fields"]["rows"], item["fields"]["error_code"]) for item in ends] == [(2, "")]
    (over,) = shop.cluster.audit("--user=ann", "--kind=db.session.end")
    assert over["fields"]["reason"] == "client_closed"


def test_a_statement_that_nobody_granted_is_refused_and_recorded(shop: Rig) -> None:
    done = connect(shop, "bob", "select * from salaries")
    assert done.code == 1
    assert "ERROR 1142 (42000)" in done.stderr
    (denied,) = shop.cluster.audit("--user=bob", "--kind=db.session.denied")
    assert denied["fields"]["decision_id"] in done.stderr
    assert not any("salaries" in each.text for each in shop.server.log())
