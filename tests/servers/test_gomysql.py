"""The stand-in for MySQL 8 says what MySQL 8 says, and takes the login that MySQL 8 has."""

from collections.abc import Iterator

import pymysql
import pytest

from tests.servers import certificates, gomysql, process


@pytest.fixture(scope="module")
def server(authority: certificates.Authority) -> Iterator[gomysql.Gomysql]:
    files = authority.server()
    with gomysql.running(certificate=files.certificate, key=files.key, client_ca=files.ca) as running:
        running.create("shop", "alice", "hunter2")
        yield running


@pytest.mark.db
def test_it_speaks_as_mysql_8(server: gomysql.Gomysql) -> None:
    (row,) = server.ask("select version()")
    assert str(row[0]).startswith("8.0.")


@pytest.mark.db
def test_a_password_of_mysql_8_opens_it_over_tls(
    server: gomysql.Gomysql, authority: certificates.Authority
) -> None:
    ssl = {"ca": str(authority.ca), "check_hostname": False}
    given = {"host": process.LOOPBACK, "port": server.port, "user": "alice", "database": "shop", "ssl": ssl}
    with pymysql.connect(password="hunter2", **given) as connection, connection.cursor() as cursor:
        cursor.execute("select 41 + 1")
        assert cursor.fetchall() == ((42,),)
    with pytest.raises(pymysql.err.OperationalError, match="1045"):
        pymysql.connect(password="wrong", **given)
