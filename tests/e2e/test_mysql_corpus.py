"""The corpus of attempts on MySQL and MariaDB through the whole gateway, by a user who may do everything.

The role grants SELECT on two tables; the database user owns the server. So whatever the gateway lets through
runs, and shows a canary, changes a checksum or stands in the server's own log if it should not have.
"""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pymysql
import pytest
import yaml
from pymysql.constants import CLIENT, COMMAND, ER

from tests.e2e.access import Access
from tests.e2e.cluster import role
from tests.e2e.mysql_rig import SHOP, Rig

pytestmark = pytest.mark.db

CORPUS = Path(__file__).resolve().parents[1] / "corpus"
CANARIES = ("canary-7f3a", "424242")
TABLES = f"""
create database app; create database secret;
create table app.orders (id int primary key, customer_id int, amount decimal(10,2), note text);
create table app.customers (id int primary key, Name text, email text);
create table app.salaries (id int, amount int); create table secret.pay (id int, who text, amount int);
create view app.v_pay as select * from secret.pay; create sequence app.seq1;
insert into app.orders values (1, 1, 10, 'x'), (2, 1, 20, 'y');
insert into app.customers values (1, 'ann', 'a@b');
insert into secret.pay values (1, '{CANARIES[0]}', 1); insert into app.salaries values (1, {CANARIES[1]});
create function app.leak() returns text return (select who from secret.pay limit 1);
create procedure app.proc() delete from app.orders;
create user 'analyst'@'%' identified by '' require subject '/CN=analyst';
grant all on *.* to 'analyst'@'%' with grant option;
"""
STATE = """
checksum table app.orders, app.customers, app.salaries, secret.pay;
select next_not_cached_value from app.seq1;
select (select count(*) from information_schema.tables), (select count(*) from information_schema.routines),
  (select count(*) from information_schema.events), (select count(*) from information_schema.schemata),
  (select count(*) from information_schema.plugins), (select count(*) from mysql.global_priv),
  @@global.sql_mode, @@global.max_connections, @@global.general_log;
"""
ANALYST = role(
    "analyst",
    allow={
        "db_labels": {"env": "dev"},
        "db_users": ["analyst"],
        "db_names": ["app"],
        "db_permissions": [
            {
                "match": {"object_kind": "table", "schema": "app", "name": ["orders", "customers"]},
                "permissions": ["SELECT"],
            }
        ],
    },
)
LOGIN = 1  # the number of a packet that answers the greeting
QUIT = bytes.fromhex("0100000001")
UTF8MB4 = 45
FLAGS = (
    0x0001_A209 | 1 << 3
)  # 4.1, transactions, a length before the password, several statements, a database
IN_CLEAR = "MY-128"  # through a tunnel there is TLS around it
WITH_ATTRIBUTES = "MY-119"

Connection: TypeAlias = "pymysql.Connection[Any]"
Run: TypeAlias = Callable[[Connection, str], str]


def entries(*names: str) -> list[dict[str, Any]]:
    """Those of the two protocols."""
    found = [each for name in names for each in yaml.safe_load((CORPUS / name).read_text())]
    return [each for each in found if each["protocol"] in {"mysql", "mariadb"}]


@pytest.fixture(scope="module")
def rig(mysql_shop: Rig) -> Rig:
    mysql_shop.server.ask(TABLES)
    mysql_shop.cluster.create(ANALYST)
    mysql_shop.cluster.add_user("analyst", "analyst")
    return mysql_shop


@pytest.fixture(scope="module")
def way(rig: Rig) -> Iterator[Access]:
    with rig.cluster.users["analyst"].tunnel("analyst", "app", SHOP) as access:
        yield access


def connected(way: Access) -> Connection:
    return pymysql.connect(
        host=way.host, port=way.port, user="analyst", database="app", read_timeout=60,
        client_flag=CLIENT.MULTI_STATEMENTS, autocommit=True,
    )  # fmt: skip


def simple(connection: Connection, text: str) -> str:
    """Run it; all that came back."""
    with connection.cursor() as cursor:
        cursor.execute(text)
        said = [str(cursor.fetchall())]
        while cursor.nextset():
            said.append(str(cursor.fetchall()))
    return "".join(said)


def prepared(connection: Connection, text: str) -> str:
    """Prepare it; the session in which that went well is of no further use."""
    connection._execute_command(COMMAND.COM_STMT_PREPARE, text)
    connection._read_packet()  # and more, which nobody needs
    return ""


class Analyst:
    """One session after another."""

    def __init__(self, way: Access) -> None:
        self._way = way
        self._session: Connection | None = None

    def run(self, how: Run, text: str) -> tuple[int, str]:
        """The error's number, 0 where there is none, and all that was said."""
        if self._session is None or not self._session.open:
            self._session = connected(self._way)
        try:
            said = how(self._session, text)
        except pymysql.err.MySQLError as error:
            return int(error.args[0]), str(error.args[1])
        if how is simple and not text.startswith("SET"):
            simple(self._session, "rollback")
        else:
            self.close()  # of what it set nothing is left, nor of what it prepared
        return 0, said

    def still_works(self) -> bool:
        """The session of a refusal goes on."""
        return self._session is not None and simple(self._session, "select 41 + 1") == "((42,),)"

    def close(self) -> None:
        """End the session that is open."""
        if self._session is not None and self._session.open:
            self._session.close()


def what_is_wrong(analyst: Analyst, how: Run, entry: dict[str, Any]) -> tuple[object, ...]:
    """Nothing at all, or the entry and what became of it."""
    code, said = analyst.run(how, entry["payload"])
    is_refused = code == ER.TABLEACCESS_DENIED_ERROR and "(decision " in said
    good = not is_refused if entry["must"] == "parse" else is_refused and analyst.still_works()
    if good and not any(canary in said for canary in CANARIES):
        return ()
    return entry["id"], code, said[:200]


@pytest.mark.parametrize(("how", "files"), [
    (simple, ("mysql.yaml", "mysql-variants.yaml", "attempts.yaml")),
    (prepared, ("mysql.yaml", "mysql-variants.yaml")),
])  # fmt: skip
def test_what_must_not_pass_has_no_effect_and_what_may_pass_runs(
    rig: Rig, way: Access, how: Run, files: tuple[str, ...]
) -> None:
    before, analyst = rig.server.ask(STATE), Analyst(way)
    texts = [entry for entry in entries(*files) if entry["kind"] == "sql"]
    found = [what_is_wrong(analyst, how, entry) for entry in texts]
    analyst.close()
    assert [each for each in found if each] == []
    assert rig.server.ask(STATE) == before
    came = {each.text.strip() for each in rig.server.log()}
    refused, passed = (
        {entry["payload"].strip() for entry in texts if (entry["must"] == "parse") is may}
        for may in (False, True)
    )
    assert not refused & came
    assert len(refused) > 70
    assert len(passed & came) > len(passed) / 2, "the log has what came"


class Wire:
    """A connection as bytes, at the greeting that has just come."""

    def __init__(self, host: str, port: int) -> None:
        self.sock = socket.create_connection((host, port), timeout=60)
        self.greeting = self.packet() or b""

    def packet(self) -> bytes | None:
        """What the next packet holds; None at the end of the connection."""
        head = self._exactly(4)
        return None if head is None else self._exactly(int.from_bytes(head[:3], "little"))

    def rest(self) -> list[bytes]:
        """All packets that come until the connection ends."""
        return list(iter(self.packet, None))

    def _exactly(self, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            try:
                chunk = self.sock.recv(size - len(data))
            except ConnectionError:  # closed with something unread is an end, too
                return None
            if not chunk:
                return None
            data += chunk
        return data

    def log_in(self) -> None:
        """As the analyst, as a driver of 2010 would."""
        body = struct.pack("<IIB23x", FLAGS, 1 << 24, UTF8MB4) + b"analyst\0\0app\0"
        self.sock.sendall(len(body).to_bytes(3, "little") + bytes((LOGIN,)) + body)
        answer = self.packet()
        assert answer is not None
        assert answer.startswith(b"\0"), answer


def frames(way: Access, data: bytes) -> list[bytes]:
    """What is answered to packets behind a login."""
    with closing_wire(way.host, way.port) as wire:
        wire.log_in()
        wire.sock.sendall(data + QUIT)
        if len(data) < int.from_bytes(data[:3], "little"):
            wire.sock.shutdown(socket.SHUT_WR)  # its rest never comes
        return wire.rest()


def login(host: str, port: int, data: bytes) -> list[bytes]:
    """What is answered to a packet that says who one is."""
    with closing_wire(host, port) as wire:
        wire.sock.sendall(data)
        answer = wire.packet()
        return [] if answer is None else [answer]


@contextmanager
def closing_wire(host: str, port: int) -> Iterator[Wire]:
    wire = Wire(host, port)
    with wire.sock:
        yield wire


def test_packets_that_must_not_pass_are_answered_with_an_error_or_not_at_all(rig: Rig, way: Access) -> None:
    before, wrong = rig.server.ask(STATE), []
    packets = [entry for entry in entries("mysql.yaml") if entry["kind"] == "wire"]
    for entry in packets:
        data = bytes.fromhex(entry["payload"])
        if entry["id"] == IN_CLEAR:
            said = login("127.0.0.1", rig.port, data)
        else:
            said = login(way.host, way.port, data) if data[3] == LOGIN else frames(way, data)
        last_is_error = not said or said[-1].startswith(b"\xff")
        may = entry["must"] == "parse" and entry["id"] != WITH_ATTRIBUTES  # MariaDB has none
        if last_is_error is may or any(canary.encode() in b"".join(said) for canary in CANARIES):
            wrong.append((entry["id"], said))
    assert wrong == []
    assert len(packets) == 24
    assert rig.server.ask(STATE) == before
    assert not [each for each in rig.server.log() if each.text.startswith("DELETE FROM app.orders")]
