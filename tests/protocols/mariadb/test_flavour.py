"""What is MariaDB's alone; the rest of the protocol is tested under ``mysql``."""

import pytest

from gateway.protocols import REGISTRY
from gateway.protocols.mysql import handshake
from gateway.protocols.mysql.greeting import Greeting
from gateway.sansio.flow import Write
from gateway.sansio.protocol import Hello

SALT = bytes(range(1, 21))


@pytest.mark.parametrize(
    ("version", "is_mariadb", "plain"),
    [
        ("5.5.5-10.11.19-MariaDB-0+deb12u1", True, "10.11.19-MariaDB-0+deb12u1"),
        ("11.4.2-MariaDB", True, "11.4.2-MariaDB"),
        ("5.5.5-log", False, "5.5.5-log"),
        ("8.0.36", False, "8.0.36"),
    ],
)
def test_a_server_says_itself_which_of_the_two_it_is(version: str, *, is_mariadb: bool, plain: str) -> None:
    server = Greeting(version, 1, SALT, 0)
    assert (server.is_mariadb, server.plain_version) == (is_mariadb, plain)


@pytest.mark.parametrize(
    ("name", "version"), [("mysql", handshake.MYSQL_VERSION), ("mariadb", handshake.MARIADB_VERSION)]
)
def test_before_a_server_is_known_a_client_is_greeted_by_the_ports_name(name: str, version: str) -> None:
    action = next(REGISTRY[name].accept(Hello(encrypted=False)))
    assert isinstance(action, Write)
    assert action.data[5:].startswith(version.encode() + b"\0")
