"""The reference pages name everything that the schema and the API have."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway import config_file, schema
from gateway.cli import configure
from tests.api.rig import Rig

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"


def _paths(node: Any, definitions: Any, at: str = "") -> Iterator[str]:
    """The dotted path of each field of a schema."""
    if "$ref" in node:
        yield from _paths(definitions[node["$ref"].rpartition("/")[2]], definitions, at)
    for name, inner in node.get("properties", {}).items():
        yield f"{at}{name}"
        yield from _paths(inner, definitions, f"{at}{name}.")
    if "items" in node:
        yield from _paths(node["items"], definitions, f"{at.rstrip('.')}[].")


def test_each_field_of_the_configuration_is_documented() -> None:
    known = schema.load("config")
    page = (REFERENCE / "config.md").read_text()
    documented = set(re.findall(r"^\| `([^`]+)`", page, re.MULTILINE))
    fields = {path.replace("teleport.", "regate.") for path in _paths(known, known["$defs"])}
    leaves = {
        path for path in fields if not any(other.startswith((f"{path}.", f"{path}[")) for other in fields)
    }
    assert documented == leaves - {"teleport", "regate"}


def test_the_file_that_configure_writes_names_nothing_unknown(tmp_path: Path) -> None:
    text = configure._TEMPLATE.format(
        path="x", data_dir="/d", cluster_name="c", listen_addr="'a:1'", public_addr="    - 'a:1'"
    )
    # With every comment that holds a setting taken away, it must still load, and mean what it says.
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    full = re.sub(
        r"^( *)# (?= *(?:- )?[a-z_]+:(?: |$))",
        r"\1",
        text.replace("databases: []", "databases:"),
        flags=re.MULTILINE,
    )
    full = full.replace("/etc/regate/postgres-ca.pem", str(tmp_path / "ca.pem"))
    read = config_file.parse(full, tmp_path / "regate.yaml")
    assert [item.name for item in read.db_service.databases] == ["my-postgres"]
    assert read.policy_dir == Path("/etc/regate/policies")
    assert str(read.diagnostics) == "127.0.0.1:3000"


def test_each_address_of_the_api_is_documented(rig: Rig) -> None:
    page = (REFERENCE / "api.md").read_text()
    documented = set(re.findall(r"^\| (GET|POST|PUT|DELETE) `([^`]+)`", page, re.MULTILINE))
    served = {
        (route.method, route.resource.canonical)
        for route in rig.application.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert documented == served
