"""The commands of a person's and an administrator's day, typed as the documentation types them."""

import json
import stat
from pathlib import Path

import pyotp
import pytest
import yaml

from tests.api.rig import Rig
from tests.cli.conftest import PASSWORD, Person, sign_up, trust
from tests.seed import SEED_ROLE

DB = """\
kind: db
version: v3
metadata:
  name: {name}
  description: Production PostgreSQL
  labels:
    env: production
spec:
  protocol: postgres
  uri: localhost:1
"""


def _enrol(admin: Person, name: str) -> None:
    admin.ok("create", "--force", "-", stdin=DB.format(name=name))


def test_a_day_goes_as_it_is_documented(rig: Rig, admin: Person, person: Person) -> None:
    (admin.home / "role.yaml").write_text(SEED_ROLE)
    assert admin.ok("create", "role.yaml") == 'role "db-access" has been created\n'
    _enrol(admin, "my-postgres")
    sign_up(rig, admin, person, "alice")
    assert "roles access,db-access" in admin.ok("users", "update", "alice", "--set-roles=access,db-access")
    listed = person.ok("db", "ls").splitlines()
    assert listed[0].split() == ["Name", "Description", "Labels", "Connect"]
    assert listed[2].startswith(
        "my-postgres  Production PostgreSQL  env=production  regate db connect --db-user=alice"
    )
    said = person.ok("db", "login", "--db-user=alice", "--db-name=mydb", "my-postgres")
    assert "regate db connect my-postgres" in said
    status = person.ok("status")
    assert "Logged in as: alice" in status
    assert "my-postgres as alice on mydb" in status
    events = admin.ok("audit", "ls", "--user=alice")
    assert "user.login" in events
    assert "cert.create" in events
    assert "The audit log is whole" in admin.ok("audit", "verify")
    assert "Logged out of localhost" in person.ok("logout")
    assert person.run("status").code == 7
    assert not list((person.home / ".regate").rglob("*key.pem"))


def test_the_login_again_needs_neither_pin_nor_name(rig: Rig, admin: Person, person: Person) -> None:
    sign_up(rig, admin, person, "again")
    assert "Logged in as: again" in person.ok("login", "--password-stdin", stdin=PASSWORD + "\n")


def test_a_one_time_code_is_the_second_line(rig: Rig, admin: Person, person: Person) -> None:
    token = json.loads(admin.ok("users", "add", "tess", "--roles=access", "--format=json"))["token"]
    (person.home / "token").write_text(token)
    accept = ("users", "accept", *trust(rig), "--token-file=token", "--password-stdin", "--totp")
    said = person.ok(*accept, stdin=PASSWORD + "\n")
    assert said.rstrip().endswith(f"regate login {' '.join(trust(rig))} --user=tess")
    uri = next(line.strip() for line in said.splitlines() if "otpauth://" in line)
    code = pyotp.parse_uri(uri)
    assert isinstance(code, pyotp.TOTP)
    login = ("login", *trust(rig), "--user=tess", "--password-stdin")
    assert person.run(*login, stdin=PASSWORD + "\n").code == 2
    assert "Logged in as: tess" in person.ok(*login, stdin=f"{PASSWORD}\n{code.now()}\n")


def test_values_come_as_json_and_yaml(rig: Rig, admin: Person, person: Person) -> None:
    sign_up(rig, admin, person, "formats")
    assert json.loads(person.ok("status", "--format=json"))["user"] == "formats"
    assert yaml.safe_load(person.ok("status", "--format=yaml"))["user"] == "formats"
    assert {item["name"] for item in json.loads(admin.ok("users", "ls", "--format=json"))} >= {"formats"}
    assert yaml.safe_load(admin.ok("get", "role/access"))["metadata"]["name"] == "access"
    assert len(list(yaml.safe_load_all(admin.ok("get", "roles")))) >= 3
    lines = admin.ok("audit", "ls", "--format=json", "--limit=3").splitlines()
    indices = [json.loads(line)["index"] for line in lines]
    assert indices == sorted(indices)
    assert len(indices) == 3
    assert json.loads(admin.ok("audit", "verify", "--format=json"))["ok"] is True


def test_a_file_with_a_mistake_is_told_by_its_name_and_line(admin: Person) -> None:
    (admin.home / "role.yaml").write_text(
        SEED_ROLE.replace("db_labels", "db_label").replace("db-access", "wrong")
    )
    done = admin.run("create", "role.yaml")
    assert done.code == 2
    assert done.err.startswith("error: role.yaml:7: spec.allow.db_label: unknown field")
    assert admin.run("get", "role/wrong").code == 4


def test_create_refuses_what_is_there_unless_forced(admin: Person) -> None:
    text = DB.format(name="twice")
    admin.ok("create", stdin=text)
    assert admin.run("create", stdin=text).code == 5
    assert admin.ok("create", "-f", stdin=text) == 'db "twice" has been updated\n'
    assert admin.ok("rm", "db/twice") == 'db "twice" has been removed\n'
    assert admin.run("rm", "db/twice").code == 4


def test_edit_stores_what_the_editor_leaves(admin: Person) -> None:
    _enrol(admin, "edited")
    editor = admin.home / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/Production/Changed/' \"$1\"\n")
    editor.chmod(0o755)
    assert "has been updated" in admin.ok("edit", "db/edited", EDITOR=str(editor))
    assert "Changed PostgreSQL" in admin.ok("get", "db/edited")
    editor.write_text("#!/bin/sh\ntrue\n")
    assert admin.ok("edit", "db/edited", EDITOR=str(editor)) == "nothing has changed\n"


def test_an_edit_that_is_refused_keeps_the_text(admin: Person) -> None:
    _enrol(admin, "kept")
    editor = admin.home / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/protocol/protocl/' \"$1\"\n")
    editor.chmod(0o755)
    done = admin.run("edit", "db/kept", EDITOR=str(editor))
    assert done.code == 2
    kept = Path(done.err.rsplit("kept in ", 1)[1].strip())
    assert "protocl" in kept.read_text()
    kept.unlink()


def test_server_certificates_are_written_for_the_server_alone(admin: Person) -> None:
    admin.ok("auth", "sign", "--format=db", "--host=localhost", "--out=server", "--ttl=2190h")
    assert stat.S_IMODE((admin.home / "server.key").stat().st_mode) == 0o600
    assert "BEGIN CERTIFICATE" in (admin.home / "server.crt").read_text()
    assert (admin.home / "server.cas").read_text() == admin.ok("auth", "export", "--type=db-client")
    again = admin.run("auth", "sign", "--host=localhost", "--out=server")
    assert again.code == 2
    assert "would be overwritten" in again.err


def test_a_person_without_rules_is_refused_and_an_editor_is_not(
    rig: Rig, admin: Person, person: Person
) -> None:
    sign_up(rig, admin, person, "plain")
    assert person.run("users", "ls").code == 3
    admin.ok("users", "update", "plain", "--set-roles=editor")
    person.ok("login", "--password-stdin", stdin=PASSWORD + "\n")
    assert "plain" in person.ok("users", "ls")


def test_traits_are_given_and_changed(admin: Person) -> None:
    admin.ok("users", "add", "trudy", "--roles=access", "--db-users=trudy,reports")
    admin.ok("users", "update", "trudy", "--set-db-names=mydb")
    spec = yaml.safe_load(admin.ok("get", "user/trudy"))["spec"]
    assert spec == {"roles": ["access"], "traits": {"db_users": ["trudy", "reports"], "db_names": ["mydb"]}}
    nothing = admin.run("users", "update", "trudy")
    assert nothing.code == 2
    assert "nothing to change" in nothing.err


def test_the_cluster_is_shown_on_its_host(rig: Rig, admin: Person) -> None:
    said = admin.ok("status")
    assert rig.pin in said
    assert f"localhost:{rig.port}" in said


def test_each_database_route_has_its_own_certificate(rig: Rig, admin: Person, person: Person) -> None:
    _enrol(admin, "routes")
    sign_up(rig, admin, person, "ruth")
    first = json.loads(person.ok("db", "env", "--db-user=ruth", "--db-name=one", "--format=json", "routes"))
    second = json.loads(person.ok("db", "env", "--db-user=ruth", "--db-name=two", "--format=json", "routes"))
    assert first["PGSSLCERT"] != second["PGSSLCERT"]
    assert Path(first["PGSSLCERT"]).exists()
    kept = json.loads(person.ok("db", "env", "--db-user=ruth", "--db-name=one", "--format=json", "routes"))
    assert kept == first
    assert json.loads(person.ok("db", "config", "--format=json", "routes"))["database"] == "two"
    assert first["PGSSLMODE"] == "verify-full"
    assert ":" not in first["PGSSLKEY"]
    assert "%" not in first["PGSSLKEY"]
    person.ok("db", "logout", "routes")
    assert not Path(first["PGSSLCERT"]).exists()


def test_connect_starts_psql_with_the_certificate_and_no_password(
    rig: Rig, admin: Person, person: Person
) -> None:
    _enrol(admin, "psql")
    sign_up(rig, admin, person, "petra")
    tools = person.home / "tools"
    tools.mkdir()
    (tools / "psql").write_text('#!/bin/sh\necho "$@"\nenv | grep ^PG | sort\nexit 9\n')
    (tools / "psql").chmod(0o755)
    path = {
        "PATH": f"{tools}:/usr/bin:/bin",
        "PGPASSWORD": "hunter2",
        "PGSSLMODE": "disable",
        "PGHOSTADDR": "1.2.3.4",
    }
    done = person.run(
        "db", "connect", "--db-user=petra", "--db-name=mydb", "psql", "--", "-c", "select 1", **path
    )
    assert done.code == 9
    assert done.out.startswith("-c select 1\n")
    assert "PGSSLMODE=verify-full" in done.out
    assert "PGPASSWORD" not in done.out
    assert "PGHOSTADDR" not in done.out
    both = person.run("db", "exec", "--db-user=petra", "--db-name=mydb", "--dbs=psql", "select 1", **path)
    assert both.code == 10
    assert both.out.startswith("==> psql\n")
    missing = person.run("db", "connect", "psql", PATH=str(person.home))
    assert missing.code == 2
    assert "psql is not on the PATH" in missing.err


def test_a_database_user_that_no_role_allows_is_refused_with_the_reason(
    rig: Rig, admin: Person, person: Person
) -> None:
    _enrol(admin, "refusing")
    sign_up(rig, admin, person, "rex")
    done = person.run("db", "login", "--db-user=postgres", "--db-name=mydb", "refusing")
    assert done.code == 3
    assert "no role lets you connect as postgres" in done.err
    unnamed = person.run("db", "login", "refusing")
    assert unnamed.code == 2
    assert "give --db-user" in unnamed.err


@pytest.mark.parametrize("form", ["text", "json"])
def test_doctor_says_what_is_wrong_and_what_to_do(rig: Rig, admin: Person, form: str) -> None:
    _enrol(admin, "sick")
    rig.health.ok("policy")
    arguments = ("--db=sick", "--db-user=alice", "--db-name=mydb")
    done = admin.run("doctor", *arguments, f"--format={form}")
    assert done.code == 10
    if form == "text":
        assert "hostssl all all             0.0.0.0/0 cert" in done.out
        assert (
            "bad  sick as alice: cannot reach localhost:1: connection refused\n     -> start it" in done.out
        )
    else:
        checks = {item["name"]: item for item in json.loads(done.out)}
        assert checks["services"]["verdict"] == "ok"
        assert checks["CA pin"]["text"] == rig.pin
        assert "listen_addresses" in checks["sick as alice"]["remedy"]


def test_configure_writes_a_file_that_loads(person: Person) -> None:
    target = person.home / "regate.yaml"
    said = person.ok("configure", f"--output=file://{target}", "--cluster-name=example", "--data-dir=data")
    assert f"regate start -c {target}" in said
    value = yaml.safe_load(target.read_text())
    assert value["regate"]["data_dir"] == str(person.home / "data")
    assert all(value[name]["enabled"] for name in ("auth_service", "proxy_service", "db_service"))
    again = person.run("configure", f"--output={target}")
    assert again.code == 2
    assert "is there already" in again.err
    assert (
        yaml.safe_load(person.ok("configure", "-o", "stdout", "--cluster-name=007"))["regate"]["cluster_name"]
        == "007"
    )
    refused = person.run("configure", "--output=stdout", "--cluster-name=a b")
    assert refused.code == 2
    assert "regate.cluster_name: expected a name" in refused.err
