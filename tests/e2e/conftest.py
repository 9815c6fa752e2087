"""One cluster for all end-to-end tests that leave it as they found it, and the people who use it."""

from collections.abc import Iterator

import pytest

from tests.e2e import cluster as clusters
from tests.e2e import mongo_rig, mysql_rig
from tests.e2e.access import Access
from tests.e2e.apart import Service, apart
from tests.e2e.cluster import Cluster, role
from tests.e2e.drivers import DRIVERS, Driver
from tests.e2e.mongo_rig import Shop
from tests.e2e.mysql_rig import Rig
from tests.servers.secantus import Secantus

TABLES = """
create schema app; create schema secret;
create table app.orders (id int primary key, total int not null, note text);
create table app.notes (id int primary key, body text);
create table secret.pay (id int primary key, amount int);
insert into app.orders values (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'c');
insert into secret.pay values (1, 9000);
grant usage on schema app, secret to alice, bob;
grant all on all tables in schema app, secret to alice, bob;
"""

# alice's role restricts nothing. bob's lets him read one table, where the database would let him do all.
ALICE = role("developer", allow={"db_labels": {"env": "dev"}, "db_users": ["alice"], "db_names": ["mydb"]})
BOB = role(
    "reader",
    allow={
        "db_labels": {"env": "dev"},
        "db_users": ["bob"],
        "db_names": ["mydb"],
        "db_permissions": [
            {
                "match": {"object_kind": "table", "schema": "app", "name": "orders"},
                "permissions": ["SELECT"],
            }
        ],
    },
)
NOBODY = role("elsewhere", allow={"db_labels": {"env": "prod"}, "db_users": ["*"], "db_names": ["*"]})


def furnish(cluster: Cluster) -> None:
    """The tables, the roles, and three people: alice, bob, and carol who may see nothing."""
    cluster.pg.create("mydb", "alice", "bob")
    cluster.pg.psql(TABLES, "mydb")
    cluster.create(ALICE, BOB, NOBODY)
    cluster.add_users(alice="developer", bob="reader", carol="elsewhere")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with clusters.running() as running:
        furnish(running)
        yield running


@pytest.fixture(scope="session")
def trio() -> Iterator[tuple[Cluster, list[Service]]]:
    """A centre and two services for one database, shared by tests that leave them as they found them."""
    with apart(2) as (running, services):
        furnish(running)
        yield running, services


@pytest.fixture(scope="session", params=["native", "tunnel"])
def alice(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Access]:
    """alice's way to the database, with her certificate or through a tunnel."""
    yield from _way(cluster, "alice", request.param)


@pytest.fixture(scope="session", params=["native", "tunnel"])
def bob(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Access]:
    """bob's way to the database."""
    yield from _way(cluster, "bob", request.param)


def _way(cluster: Cluster, name: str, kind: str) -> Iterator[Access]:
    user = cluster.users[name]
    if kind == "native":
        yield user.access(name, "mydb")
        return
    with user.tunnel(name, "mydb") as access:
        yield access


@pytest.fixture(params=list(DRIVERS))
def driver(request: pytest.FixtureRequest) -> Driver:
    return DRIVERS[request.param]


@pytest.fixture(scope="session")
def documents() -> Iterator[Shop]:
    """MongoDB through a cluster, for all modules about it; whoever stops it starts it again."""
    with mongo_rig.running() as running:
        yield running


@pytest.fixture(scope="session")
def mysql_shop() -> Iterator[Rig]:
    """MariaDB through a cluster, for all modules about it; whoever stops it starts it again."""
    with mysql_rig.running() as running:
        yield running


@pytest.fixture(scope="session")
def replica(documents: Shop) -> Iterator[Secantus]:
    """A second MongoDB server in it, which knows what the first does not."""
    with mongo_rig.replica(documents) as running:
        yield running
