"""What the one file means, and what a person is told about mistakes in it."""

import socket
from pathlib import Path

import pytest

from gateway import address, config, config_file
from gateway.address import Address
from gateway.errors import ConfigError
from gateway.model.resource import BackendAuth, Database

SEED = """\
version: v3
teleport:
  data_dir: /var/lib/gate
db_service:
  enabled: true
  databases:
    - name: my-postgres
      description: "Production PostgreSQL"
      protocol: postgres
      uri: postgres.internal.example.com:5432
      static_labels:
        env: production
        team: platform
auth_service:
  enabled: yes
ssh_service:
  enabled: false
"""


def test_a_file_with_only_a_version_gets_every_default(tmp_path: Path) -> None:
    read = config_file.parse("version: v3\n", tmp_path / "regate.yaml")
    assert read.cluster_name == socket.gethostname()
    assert read.data_dir == Path("/var/lib/regate")
    assert read.audit_dir == Path("/var/lib/regate/audit")
    assert read.proxy_service.listen == Address("0.0.0.0", 3080)
    assert read.proxy_service.public == (Address(socket.gethostname(), 3080),)
    assert read.auth_service.enabled
    assert read.db_service.enabled
    assert read.db_service.databases == ()
    assert read.opa == config.Opa()
    assert read.policy_dir is None
    assert read.diagnostics is None


def test_a_file_in_the_form_of_teleport_means_the_same(tmp_path: Path) -> None:
    read = config_file.parse(SEED, tmp_path / "regate.yaml")
    assert read.data_dir == Path("/var/lib/gate")
    assert read.db_service.databases == (
        Database(
            name="my-postgres",
            protocol="postgres",
            uri="postgres.internal.example.com:5432",
            description="Production PostgreSQL",
            labels={"env": "production", "team": "platform"},
        ),
    )


FROM_THE_SEED = """\
version: v3
teleport:
  proxy_server: teleport.example.com:443
  auth_token: /tmp/token

db_service:
  enabled: true
  databases:
    - name: my-postgres
      description: "Production PostgreSQL"
      protocol: postgres
      uri: postgres.internal.example.com:5432
      # Optional: static labels for RBAC targeting
      static_labels:
        env: production
        team: platform

auth_service:
  enabled: false
proxy_service:
  enabled: false
ssh_service:
  enabled: false
"""


def test_a_file_that_was_made_for_teleport_loads_unchanged(tmp_path: Path) -> None:
    read = config_file.parse(FROM_THE_SEED, tmp_path / "teleport.yaml")
    assert read.services == ("db",)
    assert read.join == config.Join(Address("teleport.example.com", 443), "/tmp/token")
    (database,) = read.db_service.databases
    assert (database.name, database.labels) == ("my-postgres", {"env": "production", "team": "platform"})


def test_relative_paths_start_at_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    text = """\
version: v3
regate: {data_dir: data, cluster_name: a.b, log: {severity: DEBUG, format: {output: json}}}
proxy_service: {listen_addr: "127.0.0.1:4000", public_addr: [gate.example.com, "other:1"]}
policy: {dir: policies}
opa: {path: opa, deadline_ms: 400}
audit: {dir: log}
db_service:
  databases:
    - {name: a, protocol: postgres, uri: "[::1]:5",
       tls: {ca_cert_file: ca.pem, server_name: n}, max_connections: 3}
    - {name: b, protocol: postgres, uri: "unix:/run/s", auth: {method: none}}
    - {name: c, protocol: postgres, uri: "h:5", auth: {method: scram, secret_file: s}}
"""
    read = config_file.parse(text, tmp_path / "regate.yaml")
    assert read.data_dir == tmp_path / "data"
    assert read.admin_socket == tmp_path / "data" / "admin.sock"
    assert read.policy_dir == tmp_path / "policies"
    assert read.audit_dir == tmp_path / "log"
    assert read.opa == config.Opa(tmp_path / "opa", deadline_ms=400)
    assert read.log == config.Log("DEBUG", "stderr", "json")
    assert read.proxy_service.public == (Address("gate.example.com", 4000), Address("other", 1))
    first, second, third = read.db_service.databases
    assert (first.tls.ca, first.tls.server_name, first.max_connections) == (
        "-----BEGIN CERTIFICATE-----\n",
        "n",
        3,
    )
    assert second.auth is BackendAuth.NONE
    assert third.secret_file == str(tmp_path / "s")


@pytest.mark.parametrize(
    ("section", "native"),
    [
        ("mysql_listen_addr: 0.0.0.0:3306, postgres_listen_addr: 0.0.0.0:5432", {"mysql": ":3306"}),
        (
            "public_addr: [a.example, 'b:1'], mysql_listen_addr: 0.0.0.0:3306, mysql_public_addr: b:33",
            {"mysql": "b:33"},
        ),
        (
            "enabled: no, public_addr: b, redis_public_addr: b:6379, mysql_listen_addr: 0.0.0.0:1",
            {"redis": "b:6379"},
        ),
    ],
)
def test_clients_are_told_the_ports_that_their_protocol_needs(
    section: str, native: dict[str, str], tmp_path: Path
) -> None:
    alone = "\ndb_service: {enabled: no}" if "enabled: no" in section else ""
    read = config_file.parse(f"version: v3\nproxy_service: {{{section}}}{alone}", tmp_path / "regate.yaml")
    assert dict(read.proxy_service.native) == native


MISTAKES = [
    ("version: v2", "1: version: expected \"v3\", got 'v2'"),
    ("version: v3\nregate: {}\nteleport: {}", "3: teleport: expected one of regate and teleport, got both"),
    (
        "version: v3\nproxy_service:\n  listen_adr: x",
        '3: proxy_service.listen_adr: unknown field; did you mean "listen_addr"?',
    ),
    (
        "version: v3\nproxy_service:\n  listen_addr: localhost",
        "3: proxy_service.listen_addr: expected host:port, got 'localhost'",
    ),
    (
        "version: v3\nproxy_service:\n  public_addr: 0.0.0.0:1",
        "3: proxy_service.public_addr: expected an address that clients can dial, got '0.0.0.0:1'",
    ),
    (
        "version: v3\nproxy_service:\n  public_addr: [a.example, 'b:1']\n  mysql_public_addr: other:3306",
        (
            "4: proxy_service.mysql_public_addr: expected a host of public_addr, which the certificate "
            "names, got 'other:3306'"
        ),
    ),
    (
        "version: v3\nproxy_service:\n  redis_public_addr: 0.0.0.0:1",
        "3: proxy_service.redis_public_addr: expected host:port that clients can dial, got '0.0.0.0:1'",
    ),
    (
        "version: v3\nauth_service:\n  enabled: no",
        (
            "3: auth_service.enabled: expected yes: a database service runs with both others in its process, "
            "or with none"
        ),
    ),
    (
        "version: v3\nregate: {}\nauth_service:\n  enabled: no\nproxy_service:\n  enabled: no",
        "2: regate.proxy_server: expected the address of the proxy, as in proxy_server: host:port",
    ),
    (
        "version: v3\nregate: {}\nauth_service:\n  enabled: no\ndb_service:\n  enabled: no",
        "2: regate.auth_server: expected the address of the auth service, as in auth_server: host:port",
    ),
    (
        (
            "version: v3\nauth_service:\n  enabled: no\nproxy_service:\n  enabled: no\n"
            "db_service:\n  enabled: no"
        ),
        "7: db_service.enabled: expected one service to be enabled, got none",
    ),
    (
        "version: v3\nproxy_service:\n  enabled: no\ndb_service:\n  enabled: no",
        (
            "2: proxy_service: expected public_addr: the addresses that clients and proxies dial, "
            "the clients' first"
        ),
    ),
    (
        "version: v3\nregate:\n  ca_pin: sha256:12",
        (
            "3: regate.ca_pin: expected sha256: and 64 hexadecimal digits, as regate start prints it, "
            "got 'sha256:12'"
        ),
    ),
    (
        "version: v3\nauth_service:\n  listen_addr: nowhere",
        "3: auth_service.listen_addr: expected host:port, got 'nowhere'",
    ),
    (
        "version: v3\nopa:\n  address: unix:/run/opa.sock",
        '2: opa: expected the field "token_file", the file with the token that may push data to it',
    ),
    (
        "version: v3\nopa:\n  address: unix:/run/opa.sock\n  token_file: /nowhere/token",
        "4: opa.token_file: cannot read /nowhere/token: No such file or directory",
    ),
    (
        "version: v3\ndb_service: {workers: 2}\nopa: {address: 'https://x', token_file: /dev/null}",
        "3: opa.address: expected unix:/path: several workers ask OPA over a unix socket",
    ),
    (
        "version: v3\nopa:\n  token_file: /dev/null",
        "3: opa.token_file: expected nothing: token_file goes with an address",
    ),
    (
        "version: v3\nopa:\n  address: http://opa.example.com:8181\n  token_file: /dev/null",
        (
            "3: opa.address: expected unix:/path, https://host:port, or http:// on this host, got "
            "'http://opa.example.com:8181'"
        ),
    ),
    ("version: v3\nauth_service:\n  enabled: 1", "3: auth_service.enabled: expected yes or no, got 1"),
    (
        "version: v3\nssh_service:\n  enabled: yes",
        "3: ssh_service.enabled: expected false (Regate serves databases only), got true",
    ),
    (
        "version: v3\ndb_service:\n  deny_addresses: [10.0.0.0/8, 10.0.0.1/8]",
        "3: db_service.deny_addresses[1]: expected a network as in 10.0.0.0/8, got '10.0.0.1/8'",
    ),
    (
        "version: v3\ndb_service:\n  connects_per_second: 0",
        "3: db_service.connects_per_second: expected a number from 1 to 100000, got 0",
    ),
    (
        "version: v3\naudit:\n  statements: sealed",
        "3: audit.statements: expected audit.recipients beside it: the public keys of who may read them",
    ),
    (
        "version: v3\naudit:\n  recipients: [age1qqq]\n  statements: sealed",
        "3: audit.recipients[0]: expected a public key as regate audit keygen prints it (age1…)",
    ),
    ("version: v3\nregate:\n  diag_addr: x", "3: regate.diag_addr: expected host:port, got 'x'"),
    (
        "version: v3\nregate:\n  data_dir: /" + "x" * 90,
        "3: regate.data_dir: expected a path of at most 75 bytes (it holds sockets)",
    ),
]
DATABASE_MISTAKES = [
    (
        "protocol: postgre, uri: 'a:1'",
        (
            f".protocol: expected one of {', '.join(config.known_protocols())}, got 'postgre'; "
            'did you mean "postgres"?'
        ),
    ),
    ("protocol: postgres, uri: a", ".uri: expected host:port or unix:/path, got 'a'"),
    ("protocol: postgres, uri: ':5'", ".uri: expected host:port or unix:/path, got ':5'"),
    ("protocol: postgres", ': expected the field "uri", host:port or unix:/path'),
    (
        "protocol: postgres, uri: 'a:1', static_labels: {v: 15}",
        ".static_labels.v: expected text, got 15",
    ),
    (
        "protocol: postgres, uri: 'a:1', auth: {method: scram}",
        ".auth: expected one of secret_file and secret_env",
    ),
    (
        "protocol: postgres, uri: 'a:1', auth: {secret_env: X}",
        ".auth.secret_env: expected no secret with the method certificate",
    ),
    (
        "protocol: postgres, uri: 'unix:/x'",
        ".auth: the method none is for unix sockets, and the method certificate for addresses",
    ),
    (
        "protocol: postgres, uri: 'a:1', tls: {ca_cert_file: /no/such}",
        ".tls.ca_cert_file: cannot read /no/such: No such file or directory",
    ),
    (
        "protocol: postgres, uri: 'a:1', tls: {mode: insecure}",
        ".tls.mode: expected \"verify-full\", got 'insecure'",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), MISTAKES)
def test_a_mistake_is_told_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_file.parse(text, Path("/etc/r.yaml"))
    assert str(caught.value) == f"/etc/r.yaml:{sentence}"


@pytest.mark.parametrize(("item", "sentence"), DATABASE_MISTAKES)
def test_a_mistake_in_a_database_names_its_place(item: str, sentence: str) -> None:
    text = f"version: v3\ndb_service:\n  databases:\n    - {{name: a, {item}}}\n"
    with pytest.raises(ConfigError) as caught:
        config_file.parse(text, Path("/etc/r.yaml"))
    assert str(caught.value) == f"/etc/r.yaml:4: db_service.databases[0]{sentence}"


def test_two_databases_cannot_share_a_name() -> None:
    item = "    - {name: a, protocol: postgres, uri: 'h:1'}\n"
    with pytest.raises(
        ConfigError, match=r"r.yaml:5: db_service.databases\[1\].name: expected a name of its own"
    ):
        config_file.parse(f"version: v3\ndb_service:\n  databases:\n{item}{item}", Path("/etc/r.yaml"))


def test_a_missing_file_comes_with_the_command_that_writes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory") as caught:
        config_file.load(tmp_path / "none.yaml")
    assert "regate configure" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:1", Address("a", 1)),
        ("[::1]:2", Address("::1", 2)),
        (":3", Address("", 3)),
        ("h", Address("h", 9)),
    ],
)
def test_addresses_read_back_what_they_show(text: str, expected: Address) -> None:
    assert address.parse(text, default_port=9) == expected
    assert address.parse(str(expected)) == expected


@pytest.mark.parametrize("text", ["a:b", "::1:2", "a:70000", "http://a:1", "a b:1", "a:1\n", "[a]:1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        address.parse(text, default_port=9)
