"""``regate db configure create``: what it writes loads, and means what was asked."""

from pathlib import Path

import pytest
import yaml

from gateway import config_file
from gateway.address import Address
from gateway.config import DynamicLabel
from tests.cli.conftest import Person

PIN = "sha256:" + "ab" * 32
ASKED = (
    "--token=/tmp/token",
    f"--ca-pin={PIN}",
    "--name=my-postgres",
    "--description=Production PostgreSQL",
    "--proxy=proxy.example.com:3080",
    "--protocol=postgres",
    "--uri=postgres.internal:5432",
    "--labels=env=production,team=platform",
)


def create(person: Person, *more: str) -> str:
    return person.ok("db", "configure", "create", *ASKED, *more)


def test_the_file_has_the_form_that_is_known_elsewhere(person: Person) -> None:
    target = person.home / "regate-db.yaml"
    said = create(person, f"--output=file://{target}")
    assert f"sudo regate install systemd -c {target}" in said
    assert yaml.safe_load(target.read_text()) == {
        "version": "v3",
        "regate": {
            "data_dir": "/var/lib/regate",
            "proxy_server": "proxy.example.com:3080",
            "auth_token": "/tmp/token",
            "ca_pin": PIN,
        },
        "db_service": {
            "enabled": True,
            "databases": [
                {
                    "name": "my-postgres",
                    "description": "Production PostgreSQL",
                    "protocol": "postgres",
                    "uri": "postgres.internal:5432",
                    "static_labels": {"env": "production", "team": "platform"},
                }
            ],
        },
        "auth_service": {"enabled": False},
        "proxy_service": {"enabled": False},
        "ssh_service": {"enabled": False},
    }


def test_it_loads_as_what_was_asked(person: Person) -> None:
    target = person.home / "regate-db.yaml"
    create(person, f"--output={target}", "--dynamic-label=zone=[5m:/usr/bin/zone --short 'a b']")
    read = config_file.load(target)
    assert read.services == ("db",)
    assert read.join is not None
    assert (read.join.server, read.join.ca_pin) == (Address("proxy.example.com", 3080), PIN)
    assert read.join.token_file == Path("/tmp/token")
    (database,) = read.db_service.databases
    assert (database.uri, database.labels) == (
        "postgres.internal:5432",
        {"env": "production", "team": "platform"},
    )
    assert read.db_service.dynamic_labels == {
        "my-postgres": (DynamicLabel("zone", ("/usr/bin/zone", "--short", "a b"), 300.0),)
    }


@pytest.mark.parametrize("where", [(), ("--output=stdout",), ("-o", "-")])
def test_it_goes_to_standard_output_unless_told_otherwise(person: Person, where: tuple[str, ...]) -> None:
    assert yaml.safe_load(create(person, *where))["version"] == "v3"
    assert list(person.home.iterdir()) == []


def test_a_bare_path_starts_where_the_person_stands(person: Person) -> None:
    create(person, "--output=agent.yaml", "--token=token")
    assert yaml.safe_load((person.home / "agent.yaml").read_text())["regate"]["auth_token"] == str(
        person.home / "token"
    )
    again = person.run("db", "configure", "create", *ASKED, "--output=agent.yaml")
    assert (again.code, "is there already" in again.err) == (2, True)


@pytest.mark.parametrize(
    "text",
    ["yes", "1.5", "1e5", "0x10", "a: b", "#", "'", '"', "*", "- x", "", "ünï", "\t", "007", "~", "🐘"],
)
def test_whatever_text_is_given_reads_back_as_that_text(person: Person, text: str) -> None:
    target = person.home / "regate-db.yaml"
    create(person, f"--output={target}", f"--description={text}", f"--labels=a={text.strip()}")
    (database,) = config_file.load(target).db_service.databases
    assert (database.description, database.labels) == (text, {"a": text.strip()})


def test_the_token_itself_is_no_argument(person: Person) -> None:
    secret = "0123456789abcdef" * 4
    refused = person.run("db", "configure", "create", *ASKED, f"--token={secret}")
    assert refused.code == 2
    assert "--token takes a file" in refused.err
    assert secret not in refused.out + refused.err


WRONG = [
    ("--proxy=proxy:http", "regate.proxy_server: expected host:port"),
    ("--protocol=postgers", 'did you mean "postgres"?'),
    ("--uri=postgres.internal", "db_service.databases[0].uri: expected host:port"),
    ("--name=my postgres", "db_service.databases[0].name: expected a name"),
    ("--labels=production", "'production' is no label"),
    ("--labels=env=a,env=b", "the label 'env' is given twice"),
    ("--dynamic-label=zone=zone", "is not NAME=[PERIOD:COMMAND]"),
    ("--dynamic-label=zone=[often:zone]", "dynamic_labels[0].period: expected a duration"),
    ("--dynamic-label=zone=[0s:zone]", "dynamic_labels[0].period: expected at least 1s"),
    ("--dynamic-label=env=[1m:zone]", "dynamic_labels[0].name: expected a label of its own"),
    ("--ca-pin=sha256:12", "is no pin"),
    ("--ca-cert-file=/nowhere.pem", "cannot read /nowhere.pem"),
    ("--output=ftp://x/y", "is no place to write to"),
    ("--output=/nowhere/x.yaml", "cannot write /nowhere/x.yaml"),
]


@pytest.mark.parametrize(("argument", "said"), WRONG)
def test_a_mistake_is_a_sentence(person: Person, argument: str, said: str) -> None:
    refused = person.run("db", "configure", "create", *ASKED, argument)
    assert refused.code == 2
    assert said in refused.err
    assert refused.out == ""
