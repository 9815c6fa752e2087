"""How the gateway reaches a database: what it verifies there, and how it logs in without a user's secret."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, User, wide_role
from tests.e2e.drivers import DRIVERS
from tests.servers.certificates import Authority

pytestmark = pytest.mark.db

SECRET = "kept by the gateway alone"


@pytest.fixture(scope="module")
def grace(cluster: Cluster) -> User:
    """A person whose role restricts nothing at all."""
    cluster.create(wide_role("everything"))
    return cluster.add_user("grace", "everything")


def enrol(cluster: Cluster, name: str, uri: str, **spec: Any) -> None:
    cluster.create(
        {
            "kind": "db",
            "version": "v3",
            "metadata": {"name": name, "labels": {"env": "backends"}},
            "spec": {"protocol": "postgres", "uri": uri, **spec},
        }
    )


def test_a_secret_that_the_gateway_holds_opens_a_database_without_certificates(
    cluster: Cluster, grace: User, tmp_path: Path
) -> None:
    cluster.pg.psql(f"create role keeper login password '{SECRET}'")
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    enrol(cluster, "by-secret", cluster.pg.uri, auth={"method": "scram", "secret_file": str(secret)})
    access = grace.access("keeper", "mydb", "by-secret")
    assert DRIVERS["psql"](access, ["run select current_user"]) == ["keeper"]
    said = cluster.admin("audit", "ls", "--all", "--format=json").stdout
    assert SECRET not in said + cluster.server_log()


def test_a_wrong_secret_is_told_without_the_secret(cluster: Cluster, grace: User, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not the right one\n")
    secret.chmod(0o600)
    enrol(cluster, "by-wrong-secret", cluster.pg.uri, auth={"method": "scram", "secret_file": str(secret)})
    access = grace.access("keeper", "mydb", "by-wrong-secret")
    with pytest.raises(AssertionError, match="psql ended early") as refused:
        DRIVERS["psql"](access, ["run select 1"])
    assert "not the right one" not in str(refused.value)


def test_a_unix_socket_is_reached_without_tls(cluster: Cluster, grace: User) -> None:
    socket = cluster.pg.socket / f".s.PGSQL.{cluster.pg.port}"
    enrol(cluster, "by-socket", f"unix:{socket}", auth={"method": "none"})
    access = grace.access("postgres", "mydb", "by-socket")
    assert DRIVERS["psql"](access, ["run select current_user"]) == ["postgres"]


def test_a_database_of_another_authority_is_refused(cluster: Cluster, grace: User, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    enrol(cluster, "not-ours", cluster.pg.uri, tls={"ca_cert": stranger.ca.read_text()})
    access = grace.access("alice", "mydb", "not-ours")
    with pytest.raises(AssertionError, match="certificate"):
        DRIVERS["psql"](access, ["run select 1"])


def test_a_database_under_another_name_is_refused(cluster: Cluster, grace: User) -> None:
    enrol(cluster, "other-name", f"127.0.0.1:{cluster.pg.port}")
    access = grace.access("alice", "mydb", "other-name")
    with pytest.raises(AssertionError, match="certificate"):
        DRIVERS["psql"](access, ["run select 1"])
    enrol(cluster, "told-name", f"127.0.0.1:{cluster.pg.port}", tls={"server_name": "localhost"})
    access = grace.access("alice", "mydb", "told-name")
    assert DRIVERS["psql"](access, ["run select 1"]) == ["1"]


def test_a_database_that_is_not_there_is_said_to_be_unreachable(cluster: Cluster, grace: User) -> None:
    enrol(cluster, "gone", "localhost:1")
    access = grace.access("alice", "mydb", "gone")
    with pytest.raises(AssertionError, match=r"could not be reached|cannot be reached|refused"):
        DRIVERS["psql"](access, ["run select 1"])
