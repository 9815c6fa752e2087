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
    "select region from app.sales order by region desc limit 1",
    "select tableoid::regclass, region from app.sales",
    "select region from app.sales_eu union all select region from app.sales",
    "select region from app.sales_us",
    "select region from app.sales_us_1",
    "select region from only app.sales_us_1",
    "table app.sales_us_1",
    "copy app.sales_us_1 to stdout",
    "copy (select region from app.sales_us) to stdout",
    "insert into app.sales_us values (900, 1, 'us') returning region",
    "update app.sales_us_1 set id = id returning region",
    "delete from app.sales_us_1 where id = 1 returning region",
    "delete from app.sales_us_1 where id = 1",
    "truncate app.sales_us_1",
    "alter table app.sales detach partition app.sales_us",
    "create table app.sales_other partition of app.sales default",
    "explain (analyze) select * from app.sales_us_1",
]  # fmt: skip
MORE = """
create view app.every_order as select * from app.orders;
create table app.all_orders (id int, person int, region text, total int);
alter table app.orders inherit app.all_orders;
create table app.late_orders () inherits (app.orders);
insert into app.late_orders values (21, 1, 'us', 21), (22, 1, 'eu', 22);
create table app.sales (id int, person int references app.people on delete cascade, region text,
                        primary key (id, region)) partition by list (region);
create table app.sales_eu partition of app.sales for values in ('eu');
create table app.sales_us partition of app.sales for values in ('us') partition by range (id);
create table app.sales_us_1 partition of app.sales_us for values from (0) to (1000);
insert into app.sales select n, 1 + n % 3, case when n % 2 = 0 then 'eu' else 'us' end
  from generate_series(1, 9) n;
grant all on app.every_order, app.all_orders, app.late_orders to mary;
grant all on app.sales, app.sales_eu, app.sales_us, app.sales_us_1 to mary;
"""
# Whether these succeed would tell of what is concealed: ssn is unique and referred to, pin is checked.
TELLS = [
    "insert into app.refs values ('123-45-6789')",
    "insert into app.refs values ('000-00-0000')",
    "update app.refs set ssn = '123-45-6789'",
    "merge into app.refs using (values (1)) v on false when not matched then insert values ('123-45-6789')",
    "insert into app.people (id, name, ssn) values (77, 'x', '123-45-6789')",
    "insert into app.people (id, name, ssn) values (77, 'x', '000-00-0000')",
    "insert into app.people values (77, 'x', '123-45-6789')",
    "update app.people set ssn = '123-45-6789' where id = 3",
    "update app.people set id = 4711 where id = 1",
    "delete from app.people where id = 3",
    "update app.people set id = 33 where id = 3",
    "with gone as (delete from app.people where id = 3) select 1",
    "delete from app.clients where id = 1",
]
_TOLD = re.compile(r"is masked|has masked columns|which are filtered")
TIED = """
alter table app.people add constraint one_each unique (ssn), add constraint apart check (pin <> id);
create table app.refs (ssn varchar(11) references app.people (ssn), note text);
create table app.clients (id int primary key);
create table app.contracts (id int primary key, client int references app.clients on delete cascade);
alter table app.orders add contract int references app.contracts;
insert into app.clients values (1); insert into app.contracts values (1, 1);
update app.orders set contract = 1 where id = 1;
grant all on app.refs, app.clients, app.contracts to mary;
"""
# A trigger that leaves its cursor open, under the name that its author gave it, and a default that opens one.
OPENS = """
create function app.noted() returns trigger language plpgsql as $$
  declare seen cursor for select ssn || '' from app.people; begin open seen; return new; end $$;
create table app.notes (id int);
create trigger noted before insert on app.notes for each row execute function app.noted();
create function app.numbered() returns int language plpgsql as $$
  declare c refcursor := 'c'; begin close c; open c for select ssn || '' from app.people; return 1; end $$;
create table app.numbers (id int, number int default app.numbered());
create table app.plain (id int);
grant all on app.notes, app.numbers, app.plain to mary;
grant execute on all functions in schema app to mary;
"""


@pytest.fixture(scope="module", autouse=True)
def family(cluster: Cluster) -> None:  # noqa: F811 # the fixture
    """Parents, children, partitions and views, keys and checks, hidden code: all before anybody looks."""
    cluster.pg.psql(MORE + TIED + OPENS, "mydb")


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


def test_a_partition_with_the_filter_of_its_parent_is_read_as_its_parent_is(mary: Access) -> None:  # noqa: F811
    with _open(mary, []) as connection:
        for table in ("sales", "sales_eu"):
            read = connection.execute(f"select distinct region from app.{table}".encode())
            assert read.fetchall() == [("eu",)]


def test_no_success_and_no_failure_tells_of_what_is_concealed(mary: Access) -> None:  # noqa: F811
    with _open(mary, []) as connection:
        said = {way: _refusal(connection, way) for way in TELLS}
        assert {way: words for way, words in said.items() if not _TOLD.search(words)} == {}
        for way in (
            "insert into app.people (id, name) values (77, 'x')",
            "update app.people set name = 'y' where id = 77",
            "insert into app.refs (note) values ('x')",
        ):
            assert _refusal(connection, way) == "", "what tells of nothing goes through"


def _refusal(connection: psycopg.Connection, way: str) -> str:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(way.encode())
    except psycopg.errors.InsufficientPrivilege as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("name", "table"), [("seen", "notes"), ("c", "numbers")])
def test_a_cursor_that_hidden_code_may_have_opened_is_not_read(name: str, table: str, mary: Access) -> None:  # noqa: F811
    with psycopg.connect(mary.conninfo) as connection:
        connection.execute(f"declare {name} cursor for select id from app.orders order by id".encode())
        connection.execute("insert into app.plain values (1)")
        fetch = f"fetch 1 from {name}".encode()
        assert connection.execute(fetch).fetchall() == [(2,)], "a change with no such code is none"
        if name == "seen":  # the trigger opens it only where there is none
            connection.commit()
        connection.execute(f"insert into app.{table} (id) values (1)".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(fetch)


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
