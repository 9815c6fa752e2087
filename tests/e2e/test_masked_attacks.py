"""More ways to a masked value, each tried on the real stack: refused, or nothing of it comes out."""

import re

import psycopg
import pytest

from tests.e2e.access import Access
from tests.e2e.cluster import Cluster, eventually, role
from tests.e2e.test_obligations import GRANTED, MASKS, SECRETS, cluster, mary  # noqa: F401 # its fixtures

pytestmark = pytest.mark.db

WAYS = [
    "with p as (select * from app.people) select p::text from p",
    "with p as materialized (select ssn from app.people) select ssn::int from p",
    "select ssn::int from app.people",
    "select 1 / pin from app.people",
    "select pin::text::date from app.people",
    "select l.* from app.orders o, lateral (select ssn from app.people p where p.id = o.person) l",
    "select x.ssn::int from (select ssn from app.people) x",
    "select array_agg(ssn) from app.people",
    "select array(select ssn from app.people)",
    "select string_agg(x, ',') from (select ssn from app.people) q(x)",
    "select to_jsonb(q) from (select * from app.people) q",
    "select json_agg(q) from app.people q",
    "select row(p.*) from app.people p",
    "select * from app.people p where p is not null",
    "select * from app.people p where p = row(1, 'ann', '123-45-6789', 'x', 4711, '1980-02-03')",
    "select xmlforest(ssn) from app.people",
    "select table_to_xml('app.people', true, true, '')",
    "select pg_notify('c', ssn) from app.people",
    "select set_config('app.x', ssn, false) from app.people",
    "select format('%s', p.ssn) from app.people p",
    "insert into app.people (id, name) select id, ssn from app.people",
    "insert into app.people (id, name) values (1, 'x') returning *",
    "insert into app.people (id) values (1) on conflict (id) do update set name = 'nobody' returning ssn",
    "insert into app.people values (1, 'x') on conflict do nothing returning people",
    "merge into app.readers r using app.people p on true when not matched then insert (name) values (p.ssn)",
    "update app.people set name = 'nobody'",
    "update app.people set id = 2 where id = 1",
    "alter table app.people add constraint c check (ssn = 'x')",
    "create unique index on app.people (name, ssn)",
    "create temp table t as select ssn from app.people",
    "create function app.f() returns text language sql as 'select ssn from app.people limit 1'",
    "create domain app.d as text check (value <> '123-45-6789')",
    "create rule r as on update to app.orders do also select ssn from app.people",
    "copy (select p::text from app.people p) to stdout",
    "copy (select ssn::int from app.people) to stdout",
    "explain (analyze, verbose) select ssn from app.people",
    "explain (generic_plan) select ssn from app.people where id = $1",
    "do $$ begin raise notice '%', (select ssn from app.people limit 1); end $$",
    "declare c cursor with hold for select ssn from app.people where ssn > '1'",
    "select lo_from_bytea(0, ssn::bytea) from app.people",
    "select histogram_bounds from pg_stats where tablename = 'people'",
    "select stavalues1 from pg_statistic",
    "select count(*) from app.people having max(ssn) > '5'",
    "select id from app.people order by 2, ssn",
    "select distinct on (ssn) id from app.people",
    "select id from app.people window w as (partition by ssn)",
    "select id from app.people union select pin from app.people order by 1",
    "select ssn from app.people intersect select '123-45-6789'",
    "select id from app.people where (id, ssn) in (values (1, '123-45-6789'))",
    "select id from app.people where id = any (select pin from app.people)",
    "select ctid, xmin, p.* from app.people p",
    "select tableoid::regclass, ssn from app.people group by grouping sets ((ssn), ())",
    "table app.people limit 1",
    'select "ssn" as "SSN" from app."people"',
    'select U&"\\0073sn"::int from app.people',
    "select ssn from app.people for update",
    "select * from app.people p join app.people q on p.* = q.*",
    "select coalesce(ssn, 'x') from app.people",
    "select nullif(ssn, '123-45-6789') from app.people",
    'select ssn collate "C" from app.people',
    "values ((select ssn::int from app.people limit 1))",
    "select generate_series(1, pin) from app.people limit 1",
    "select repeat('x', pin) from app.people",
    "select pg_sleep(pin) from app.people where false",
    "prepare q as select ssn::int from app.people",
]  # fmt: skip


@pytest.mark.parametrize("group", range(4))
def test_no_way_shows_what_is_masked(group: int, mary: Access) -> None:  # noqa: F811 # the fixture
    leaked: dict[str, str] = {}
    ended: list[str] = []
    told: list[str] = []
    connection = _open(mary, told)
    try:
        for way in WAYS[group::4]:
            told.clear()
            shown = " ".join([_said(connection, way), *told]).replace(way, "")
            if [secret for secret in SECRETS if secret in shown and secret not in way]:
                leaked[way] = shown
            if connection.closed:
                ended.append(way)
                connection = _open(mary, told)
    finally:
        connection.close()
    assert leaked == {}
    assert ended == []  # each is refused, or masked: what the last check before the rows finds is a mistake


def _open(access: Access, told: list[str]) -> psycopg.Connection:
    connection = psycopg.connect(access.conninfo, autocommit=True)
    connection.add_notice_handler(
        lambda notice: told.append(f"{notice.message_primary} {notice.message_detail}")
    )
    return connection


def _said(connection: psycopg.Connection, way: str) -> str:
    """Every word that comes back: rows, and all fields of an error."""
    try:
        if way.startswith("copy"):
            with connection.cursor() as cursor, cursor.copy(way.encode()) as copied:
                return " ".join(bytes(row).decode() for row in copied)
        cursor = connection.execute(way.encode())
        return repr(cursor.fetchall()) if cursor.description else ""
    except psycopg.Error as error:
        detail = error.diag
        return " ".join(map(str, (error, detail.message_detail, detail.message_hint, detail.context)))


# mary's filter leaves the rows of one region; every word of the other is a leak.
ROWS = [
    "select region from app.orders order by region desc limit 1",
    "select max(region), count(*) from app.orders having count(*) > 10",
    "with orders as (select 1 as id) select region from app.orders",
    "with app as (select * from app.orders) select region from app",
    "with recursive r as (select region from app.orders union select region from r) select * from r",
    "select (select string_agg(region, ',') from app.orders)",
    "select region from only app.orders",
    "select region from app.orders for update",
    "select region from app.orders for no key update skip locked",
    "select region from app.orders tablesample system (100)",
    "select o.region from app.people p, lateral (select * from app.orders o where o.person = p.id) o",
    "select region from app.orders where region = 'us' or true",
    "select region from app.orders where ctid = '(0,1)'",
    "select region from app.orders union all select region from app.orders",
    "select region from app.every_order",
    "select region from app.late_orders",
    "select region from app.all_orders",
    "table app.all_orders",
    "insert into app.orders (id, region) values (1, '') on conflict (id) do update set id = 1 returning *",
    "insert into app.orders (id, region) values (1, 'x') on conflict do nothing returning region",
    "insert into app.orders select id + 100, person, region, total from app.orders returning region",
    "insert into app.people (id, name) select o.id + 100, o.region from app.orders o returning name",
    "update app.orders set total = 0 returning region",
    "update app.orders o set total = 0 from app.people p where p.id = o.person returning o.region",
    "update app.people p set name = o.region from app.orders o where o.id = 1 returning p.name",
    "delete from app.orders returning region",
    "delete from app.orders o using app.people p where p.id = o.person returning o.region",
    "with gone as (delete from app.orders returning region) select * from gone",
    "merge into app.orders o using app.people p on p.id = o.person when matched then update set total = 0",
    "merge into app.people p using app.orders o on false when not matched then insert values (1, o.region)",
    "copy app.orders to stdout",
    "copy app.orders (region) to stdout",
    "copy (select region from app.orders) to stdout",
    "copy (select region from app.all_orders) to stdout",
    "explain (analyze) select region from app.orders where region = 'us'",
    "create temp view v as select region from app.orders",
    "create temp table t as select region from app.orders",
    "prepare q as select region from app.orders",
    "declare c cursor with hold for select region from app.all_orders",
    "do $$ begin raise notice '%', (select max(region) from app.orders); end $$",
    "select query_to_xml('select region from app.orders', true, true, '')",
    "truncate app.orders",
    "truncate only app.orders",
    "truncate app.all_orders",
    "truncate app.people cascade",
]  # fmt: skip
MORE = """
create view app.every_order as select * from app.orders;
create table app.all_orders (id int, person int, region text, total int);
alter table app.orders inherit app.all_orders;
create table app.late_orders () inherits (app.orders);
insert into app.late_orders values (21, 1, 'us', 21), (22, 1, 'eu', 22);
grant select on app.every_order, app.all_orders, app.late_orders to mary;
"""


@pytest.fixture(scope="module")
def family(cluster: Cluster) -> None:  # noqa: F811 # the fixture
    """A parent and a child of the filtered table, and a view over it."""
    cluster.pg.psql(MORE, "mydb")


@pytest.mark.usefixtures("family")
def test_no_way_shows_a_row_behind_the_filter(cluster: Cluster, mary: Access) -> None:  # noqa: F811
    count = "select count(*), sum(total) from only app.orders where region = 'us'"
    before = cluster.pg.psql(count, "mydb")
    leaked: dict[str, str] = {}
    told: list[str] = []
    with _open(mary, told) as connection:
        assert "eu" in _said(connection, ROWS[0]), "what may be seen is seen"
        for way in ROWS:
            told.clear()
            shown = " ".join([_said(connection, way), *told]).replace(way, "")
            if re.search(r"\bus\b", shown):
                leaked[way] = shown
            assert not connection.closed, way
    assert leaked == {}
    assert cluster.pg.psql(count, "mydb") == before, "rows that are not seen are not changed"


@pytest.mark.usefixtures("family")
def test_a_statement_that_the_server_plans_anew_is_judged_anew(cluster: Cluster, mary: Access) -> None:  # noqa: F811
    told: list[str] = []
    with _open(mary, told) as connection:
        # Elsewhere the name of a prepared statement would be looked up again.
        for change in ("set search_path = pub", "select set_config('search_path', 'pub', false)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(change)
        connection.execute("select * from app.people", prepare=True)
        cluster.pg.psql("alter table app.people add column phone text default '0800-4711'", "mydb")
        try:
            shown = _prepared_again(connection)
        finally:
            cluster.pg.psql("alter table app.people drop column phone", "mydb")
    assert not [secret for secret in SECRETS if secret != "4711" and secret in shown], shown


def _prepared_again(connection: psycopg.Connection) -> str:
    try:
        return repr(connection.execute("select * from app.people", prepare=True).fetchall())
    except psycopg.Error as error:
        return str(error)


def test_a_mask_that_comes_later_holds_for_what_was_prepared_before(cluster: Cluster) -> None:  # noqa: F811
    plain = role("replanned", "regate/v1", allow={**GRANTED, "db_users": ["mary"]})
    cluster.create(plain)
    cluster.add_user("rex", "replanned")
    access = cluster.users["rex"].access("mary", "mydb")
    with psycopg.connect(access.conninfo, autocommit=True) as connection:
        reads = "select ssn from app.people where id = 1"
        assert connection.execute(reads, prepare=True).fetchone() == ("123-45-6789",)
        cluster.create(plain | {"spec": plain["spec"] | {"options": {"mask": MASKS}}})
        for _ in eventually("the mask is in force"):
            try:
                shown = connection.execute(reads, prepare=False).fetchone()
            except psycopg.errors.InsufficientPrivilege:
                continue
            if shown == ("****6789",):
                break
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="prepare it again"):
            connection.execute(reads, prepare=True)
