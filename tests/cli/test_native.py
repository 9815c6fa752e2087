"""What is printed for clients that do TLS themselves: values stay values, and a port is named or missed."""

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.address import Address
from gateway.cli import native, private
from gateway.cli.profile import Certified, DatabaseLogin, Profile
from gateway.errors import ConfigError
from gateway.model.identity import Route


def login(
    folder: Path, protocol: str, found: str, db_user: str = "alice", db_name: str = "shop"
) -> tuple[Profile, DatabaseLogin]:
    """Somebody's certificate in a folder whose name wants quoting everywhere."""
    own = private.folder(folder / "a & b")
    for name in ("host-ca.pem", "key.pem", "cert.pem"):
        private.write(own / name, f"{name}\n".encode())
    certified = Certified(own / "key.pem", own / "cert.pem", datetime(2030, 1, 1, tzinfo=UTC))
    route = Route("db", protocol, db_user, db_name)
    return Profile(own, Address("gate.example", 3080)), DatabaseLogin(route, certified, found)


@pytest.mark.parametrize(
    ("protocol", "found", "dialled"),
    [
        ("postgres", "", Address("gate.example", 3080)),
        ("mysql", ":3306", Address("gate.example", 3306)),
        ("mysql", "my.example:33", Address("my.example", 33)),
        ("redis", "[::1]:6379", Address("::1", 6379)),
        ("mongodb", "", None),
    ],
)
def test_a_protocol_s_clients_dial_its_own_port(
    protocol: str, found: str, dialled: Address | None, tmp_path: Path
) -> None:
    assert native.find(*login(tmp_path, protocol, found)) == dialled


def test_without_a_port_there_are_no_variables_and_the_reason_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"proxy_service\.mysql_listen_addr") as caught:
        native.environment(*login(tmp_path, "mysql", ""))
    assert caught.value.hint == "use regate db connect db"


def test_a_name_stays_one_value_in_an_option_file(tmp_path: Path) -> None:
    chosen, got = login(tmp_path, "mysql", ":3306", 'a"b\\n#c', "x y")
    where = native.environment(chosen, got)["MYSQL_HOME"]
    written = (Path(where) / "my.cnf").read_text().splitlines()
    assert 'user="a\\"b\\\\n#c"' in written
    assert 'database="x y"' in written
    assert (Path(where) / "my.cnf").stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="cannot stand in an option file"):
        native.environment(*login(tmp_path, "mysql", ":3306", "a\nhost=evil.example"))


def test_an_address_holds_a_name_as_a_name(tmp_path: Path) -> None:
    chosen, got = login(tmp_path, "mongodb", "[::1]:27017", "alice", "a/b?tls=false")
    uri = urlsplit(native.environment(chosen, got)["MONGODB_URI"])
    assert (uri.netloc, uri.path) == ("[::1]:27017", "/a%2Fb%3Ftls%3Dfalse")
    said = parse_qs(uri.query)
    assert (said["tls"], said["tlsCAFile"]) == (["true"], [str(chosen.host_ca)])
    assert Path(said["tlsCertificateKeyFile"][0]).read_text() == "cert.pem\nkey.pem\n"


def test_a_command_is_one_line_that_a_shell_reads(tmp_path: Path) -> None:
    chosen, got = login(tmp_path, "redis", ":6379", "default", "3")
    words = shlex.split(native.command(chosen, got, Address("gate.example", 6379)))
    assert words[:5] == ["redis-cli", "-h", "gate.example", "-p", "6379"]
    assert words[-2:] == ["-n", "3"]
    assert str(got.certified.key) in words


def test_a_port_on_this_machine_has_an_option_file_of_its_own(tmp_path: Path) -> None:
    chosen, got = login(tmp_path, "mysql", ":3306")
    files = [
        re.sub(".*=", "", shlex.split(native.command(chosen, got, where))[1])
        for where in (Address("gate.example", 3306), Address("127.0.0.1", 40001))
    ]
    assert [Path(each).name for each in files] == ["my.cnf", "40001.cnf"]
    assert "port=3306" in Path(files[0]).read_text()
