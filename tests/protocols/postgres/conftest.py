"""A real PostgreSQL for the protocol's tests: trust for alice, and each password method for one user."""

from collections.abc import Callable, Iterator

import pytest

from gateway.model.identity import Route
from gateway.sansio.protocol import Startup
from tests.protocols.postgres.engine import Engine, Judge, by_text, connect
from tests.servers import certificates, postgres
from tests.servers.process import temporary_folder

HBA = (
    "host all alice 127.0.0.1/32 trust",
    "host all scram 127.0.0.1/32 scram-sha-256",
    "host all md5 127.0.0.1/32 md5",
    "host all clear 127.0.0.1/32 password",
    "hostssl all certified 127.0.0.1/32 cert",
)
SETUP = """
create role scram login password 'Grün & geheim';
set password_encryption = md5;
create role md5 login password 'old';
create role clear login password 'plain';
create role certified login;
grant pg_read_all_data to scram;
"""
SCHEMA = """
set role alice;
create schema app;
create schema secret;
create table app.orders (id int primary key, amount numeric, note text);
insert into app.orders select n, n, 'note ' || n from generate_series(1, 10) n;
create table secret.pay (id int, amount numeric);
create table app.loaded (a text, b text);
create function app.f_path() returns int language plpgsql as
  $$ begin perform set_config('search_path', 'secret', false); return 1; end $$;
create function app.f_swap() returns int language plpgsql as
  $$ begin execute 'deallocate s1'; execute 'prepare s1 as select 666'; return 1; end $$;
create function app.f_one() returns int language sql as $$ select 1 $$;
"""


@pytest.fixture(scope="session")
def server(authority: certificates.Authority) -> Iterator[postgres.Postgres]:
    files = authority.server()
    with (
        temporary_folder("regate-wire-") as folder,
        postgres.running(
            certificate=files.certificate, key=files.key, client_ca=files.ca, folder=folder, hba=HBA
        ) as running,
    ):
        running.create("mydb", "alice")
        running.psql(SETUP)
        running.psql(SCHEMA, "mydb")
        yield running


Open = Callable[..., Engine]


@pytest.fixture
def opened(server: postgres.Postgres) -> Iterator[Open]:
    """Open sessions as alice; ``judge`` and ``settings`` may be given."""
    engines: list[Engine] = []

    def open_one(judge: Judge = by_text, **settings: str) -> Engine:
        startup = Startup(db_user="alice", db_name="mydb", settings=settings)
        engine = connect(("127.0.0.1", server.port), startup, Route("test", "postgres", "alice", "mydb"))
        engine.judge = judge
        engines.append(engine)
        return engine

    yield open_one
    for engine in engines:
        engine.close()


@pytest.fixture
def session(opened: Open) -> Engine:
    return opened()
