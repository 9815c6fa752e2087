"""Who gets in, who learns nothing, and how soon a change is felt."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import psycopg
import pytest

from tests.e2e.access import Access
from tests.e2e.cluster import (
    AT_ONCE,
    DATABASE,
    PASSWORD,
    Cluster,
    User,
    eventually,
    role,
    sleepers,
    until_it_runs,
)
from tests.e2e.drivers import DRIVERS

pytestmark = pytest.mark.db


@pytest.fixture
def erin(cluster: Cluster) -> Iterator[User]:
    """A person whose role a test may change; it is put back."""
    grant = role("shifting", allow={"db_labels": {"env": "dev"}, "db_users": ["alice"], "db_names": ["mydb"]})
    cluster.create(grant)
    if "erin" not in cluster.users:
        cluster.add_user("erin", "shifting")
    cluster.admin("users", "update", "erin", "--set-roles=shifting")
    yield cluster.users["erin"]
    cluster.create(grant)


def open_session(access: Access) -> psycopg.Connection:
    connection = psycopg.connect(access.conninfo, autocommit=True)
    connection.execute("select 1")
    return connection


def last_words(connection: psycopg.Connection) -> str:
    """How a session ends, seen by a client that only waits."""
    words: list[str] = []
    # libpq takes an error that comes while nothing was asked for a notice.
    connection.add_notice_handler(lambda notice: words.append(f"{notice.sqlstate} {notice.message_primary}"))
    try:
        for _ in connection.notifies(timeout=25):
            pass
    except psycopg.Error:
        return "; ".join(words)
    raise AssertionError("the session went on for 25 s")


def seconds_to_the_end(cluster: Cluster, kind: str, name: str) -> float:
    """From the moment when a change was recorded to the end of the session behind it, by the gateway's clock.

    What the command that makes the change needs to start and to end does not count.
    """
    for _ in eventually("the end of the session is recorded"):
        found = cluster.audit()
        at = max(
            at for at, item in enumerate(found) if item["kind"] == kind and item["fields"]["name"] == name
        )
        ends = [item for item in found[at:] if item["kind"] == "db.session.end"]
        if ends:
            return (_moment(ends[0]) - _moment(found[at])).total_seconds()
    raise AssertionError


def _moment(item: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(item["time"])


def test_the_identity_is_shown_with_its_roles(cluster: Cluster) -> None:
    said = cluster.users["bob"].regate("status").stdout
    assert "bob" in said
    assert "reader" in said


def test_the_list_holds_what_one_may_see_and_no_more(cluster: Cluster) -> None:
    assert DATABASE in cluster.users["alice"].regate("db", "ls").stdout
    assert DATABASE not in cluster.users["carol"].regate("db", "ls").stdout


def test_a_database_one_may_not_see_and_one_that_is_not_there_get_the_same_words(cluster: Cluster) -> None:
    carol = cluster.users["carol"]
    answers = {
        carol.regate("db", "login", "--db-user=alice", "--db-name=mydb", name, check=False).said.replace(
            name, "NAME"
        )
        for name in (DATABASE, "no-such-db")
    }
    assert len(answers) == 1, answers


def test_a_visible_database_with_the_wrong_user_gets_a_reason(cluster: Cluster) -> None:
    done = cluster.users["bob"].regate(
        "db", "login", "--db-user=postgres", "--db-name=mydb", DATABASE, check=False
    )
    assert done.code != 0
    assert "db_user" in done.said or "database user" in done.said
    assert "Traceback" not in done.said


def test_an_unknown_user_and_a_wrong_password_get_the_same_words(cluster: Cluster) -> None:
    home = cluster.folder / "home-stranger"
    home.mkdir(exist_ok=True)
    answers = [
        cluster.run(
            "login", *cluster.trust, f"--user={name}", "--password-stdin",
            home=home, stdin="not the password\n", check=False,
        )
        for name in ("carol", "nobody-of-that-name")
    ]  # fmt: skip
    assert [answer.code for answer in answers] == [answers[0].code] * 2
    assert answers[0].code != 0
    assert answers[0].said == answers[1].said


def test_a_wrong_pin_ends_before_the_password_is_sent(cluster: Cluster) -> None:
    home = cluster.folder / "home-careful"
    home.mkdir(exist_ok=True)
    done = cluster.run(
        *("login", f"--proxy={cluster.proxy}", "--ca-pin=sha256:" + "0" * 64),
        *("--user=carol", "--password-stdin"),
        home=home,
        stdin=PASSWORD + "\n",
        check=False,
    )
    assert done.code != 0
    assert "pin" in done.said


def test_two_people_with_different_roles_work_at_once(cluster: Cluster) -> None:
    alice, bob = cluster.users["alice"].access("alice", "mydb"), cluster.users["bob"].access("bob", "mydb")
    steps = ["run select amount from secret.pay", "run select count(*) from app.orders"] * 20
    with ThreadPoolExecutor() as pool:
        hers = pool.submit(DRIVERS["asyncpg"], alice, steps)
        his = pool.submit(DRIVERS["asyncpg"], bob, steps)
        assert hers.result(60) == ["9000", "3"] * 20
        assert his.result(60) == ["!42501", "3"] * 20


def test_a_certificate_opens_no_other_database_user(cluster: Cluster) -> None:
    access = cluster.users["bob"].access("bob", "mydb")
    with pytest.raises(psycopg.OperationalError, match="alice") as refused:
        psycopg.connect(access.conninfo.replace("user=bob", "user=alice")).close()
    assert "bob" in str(refused.value)


def test_a_login_certificate_opens_no_database_and_none_opens_nothing(cluster: Cluster) -> None:
    access = cluster.users["bob"].access("bob", "mydb")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(
            host=access.host, port=access.port, user="bob", dbname="mydb", sslmode="verify-full",
            sslrootcert=str(access.ca),
        ).close()  # fmt: skip
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(
            host=access.host, port=access.port, user="bob", dbname="mydb", sslmode="disable"
        ).close()


def test_a_lock_ends_a_live_session_at_once(cluster: Cluster, erin: User) -> None:
    lock = {
        "kind": "lock",
        "version": "v2",
        "metadata": {"name": "incident"},
        "spec": {"target": {"user": "erin"}, "message": "incident 12"},
    }
    with open_session(erin.access("alice", "mydb")) as connection:
        cluster.create(lock)
        try:
            words = last_words(connection)
            done = erin.regate("db", "login", "--db-user=alice", "--db-name=mydb", DATABASE, check=False)
        finally:
            cluster.admin("rm", "lock/incident")
    assert seconds_to_the_end(cluster, "resource.create", "incident") < AT_ONCE
    assert "incident 12" in words
    assert done.code != 0
    assert "incident 12" in done.said


def test_a_running_statement_is_cancelled_when_its_session_ends(cluster: Cluster, erin: User) -> None:
    access = erin.access("alice", "mydb")
    with ThreadPoolExecutor() as pool, open_session(access) as connection:
        running = pool.submit(connection.execute, "select pg_sleep(30) as ended_with_its_session")
        until_it_runs(cluster.pg, "ended_with_its_session")
        cluster.admin("users", "update", "erin", "--set-roles=elsewhere")
        with pytest.raises(psycopg.Error):
            running.result(30)
        for _ in eventually("the statement is gone from the server", seconds=20):
            if sleepers(cluster.pg, "ended_with_its_session") == 0:
                break


def test_a_role_that_changes_is_felt_by_live_sessions(cluster: Cluster, erin: User) -> None:
    with open_session(erin.access("alice", "mydb")) as connection:
        assert connection.execute("select count(*) from secret.pay").fetchone() == (1,)
        narrow = {
            "match": {"object_kind": "table", "schema": "app", "name": "orders"},
            "permissions": ["SELECT"],
        }
        cluster.create(
            role(
                "shifting",
                allow={
                    "db_labels": {"env": "dev"},
                    "db_users": ["alice"],
                    "db_names": ["mydb"],
                    "db_permissions": [narrow],
                },
            )
        )
        for _ in eventually("the secret is refused"):
            try:
                connection.execute("select count(*) from secret.pay")
            except psycopg.errors.InsufficientPrivilege as error:
                if "no role grants" in str(error):  # and not because the session is of older data
                    break
        assert connection.execute("select count(*) from app.orders").fetchone() == (3,)


def test_a_removed_grant_ends_the_session(cluster: Cluster, erin: User) -> None:
    with open_session(erin.access("alice", "mydb")) as connection:
        cluster.admin("users", "update", "erin", "--set-roles=elsewhere")
        assert last_words(connection)
    assert seconds_to_the_end(cluster, "user.update", "erin") < AT_ONCE


def test_a_cancel_reaches_the_statement_it_was_meant_for(cluster: Cluster) -> None:
    connection = open_session(cluster.users["alice"].access("alice", "mydb"))
    with ThreadPoolExecutor() as pool, connection:
        running = pool.submit(connection.execute, "select pg_sleep(20) as cancelled_by_its_client")
        until_it_runs(cluster.pg, "cancelled_by_its_client")
        connection.cancel_safe(timeout=30)
        with pytest.raises(psycopg.errors.QueryCanceled):
            running.result(15)
        assert connection.execute("select 'alive'").fetchone() == ("alive",)


def test_the_audit_names_who_did_what_and_is_whole(cluster: Cluster) -> None:
    access = cluster.users["alice"].access("alice", "mydb")
    assert DRIVERS["psql"](access, ["run select 'for the record' from app.orders limit 1"]) == [
        "for the record"
    ]
    found = [
        record
        for record in cluster.audit("--user=alice", "--kind=db.session.query")
        if "for the record" in record["fields"]["statement"]
    ]
    assert len(found) == 1
    fields = found[0]["fields"]
    assert (fields["database"], fields["db_user"], fields["db_name"]) == (DATABASE, "alice", "mydb")
    assert fields["decision_id"]
    assert fields["input_digest"]
    assert cluster.admin("audit", "verify").code == 0


def test_db_connect_opens_psql(cluster: Cluster) -> None:
    # The transcript's own command: psql behind `db connect`, given its statement after the dashes.
    user = cluster.users["alice"]
    route = ("--db-user=alice", "--db-name=mydb", DATABASE)
    done = user.regate("db", "connect", *route, "--", "-A", "-t", "-c", "select 6 * 7")
    assert done.stdout.strip() == "42"
