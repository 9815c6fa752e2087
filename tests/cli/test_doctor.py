"""What the doctor finds at a real PostgreSQL, set up well and in the ways people get it wrong."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.api.rig import Rig
from tests.cli.conftest import Person
from tests.servers import certificates, postgres

DB = (
    "kind: db\nversion: v3\nmetadata: {{name: {name}}}\nspec: {{protocol: postgres, uri: 'localhost:{port}'}}"
)
GOOD = ("hostssl all all 127.0.0.1/32 cert",)


def _examine(admin: Person, name: str, db_user: str = "alice") -> dict[str, Any]:
    done = admin.run("doctor", f"--db={name}", f"--db-user={db_user}", "--db-name=mydb", "--format=json")
    return {item["name"]: item for item in json.loads(done.out)}


def _sign(admin: Person, host: str = "localhost") -> None:
    admin.ok("auth", "sign", "--format=db", f"--host={host}", "--out=server", "--overwrite")


@pytest.mark.db
@pytest.mark.parametrize(
    ("hba", "settings", "verdicts", "words"),
    [
        (GOOD, {}, ("ok", "ok"), "logged in to localhost"),
        (("host all all 127.0.0.1/32 trust",), {}, ("ok", "bad"), "the method trust stands above"),
        (("hostssl all all 127.0.0.1/32 scram-sha-256",), {}, ("bad",), "the hostssl line above it"),
        (("hostssl all all 10.0.0.0/8 cert",), {}, ("bad",), "add the hostssl line"),
        (GOOD, {"ssl": "off"}, ("bad",), "set ssl = on"),
    ],
    ids=["good", "trust", "password", "no line", "no tls"],
)
def test_each_mistake_at_the_server_is_named_with_its_remedy(  # the table's columns
    rig: Rig,
    admin: Person,
    hba: Sequence[str],
    settings: dict[str, str],
    verdicts: Sequence[str],
    words: str,
    request: pytest.FixtureRequest,
) -> None:
    _sign(admin)
    files = {name: admin.home / f"server.{name}" for name in ("crt", "key", "cas")}
    with postgres.running(
        certificate=files["crt"], key=files["key"], client_ca=files["cas"], hba=hba, settings=settings
    ) as server:
        server.create("mydb", "alice")
        name = "pg-" + request.node.callspec.id.replace(" ", "-")
        admin.ok("create", "-f", stdin=DB.format(name=name, port=server.port))
        checks = _examine(admin, name)
    found = [item for key, item in checks.items() if key.startswith(f"{name} as alice")]
    assert [item["verdict"] for item in found] == list(verdicts), found
    assert words in json.dumps(found)


@pytest.mark.db
def test_certificates_that_do_not_fit_are_named(rig: Rig, admin: Person, tmp_path: Path) -> None:
    _sign(admin, "elsewhere.example.com")
    files = {name: admin.home / f"server.{name}" for name in ("crt", "key", "cas")}
    other = certificates.Authority(tmp_path).server()
    with postgres.running(certificate=files["crt"], key=files["key"], client_ca=Path(other.ca)) as server:
        server.create("mydb", "alice")
        admin.ok("create", "-f", stdin=DB.format(name="wrong-name", port=server.port))
        named = _examine(admin, "wrong-name")["wrong-name as alice"]
    assert named["verdict"] == "bad"
    assert "regate auth sign --format=db" in named["remedy"], named
    _sign(admin)
    with postgres.running(certificate=files["crt"], key=files["key"], client_ca=Path(other.ca)) as server:
        server.create("mydb", "alice")
        admin.ok("create", "-f", stdin=DB.format(name="wrong-ca", port=server.port))
        named = _examine(admin, "wrong-ca")["wrong-ca as alice"]
    assert named["verdict"] == "bad", named
    assert "regate auth export --type=db-client" in named["remedy"], named
