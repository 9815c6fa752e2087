import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from gateway import schema
from gateway.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
RESOURCES = sorted(path.stem for path in (ROOT / "schemas").glob("resource.*.json"))


def test_a_checkout_uses_its_own_folders() -> None:
    assert schema.data_dir("schemas") == ROOT / "schemas"
    assert schema.data_dir("policies") == ROOT / "policies"


def test_a_wheel_uses_what_it_carries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where another project has put a folder of that name beside the package."""
    package = tmp_path / "gateway"
    (package / "_data" / "schemas").mkdir(parents=True)
    (tmp_path / "schemas").mkdir()
    monkeypatch.setattr(schema, "_PACKAGE", package)
    assert schema.data_dir("schemas") == package / "_data" / "schemas"


def test_a_folder_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_PACKAGE", tmp_path / "gateway")
    with pytest.raises(ConfigError, match="policies is missing"):
        schema.data_dir("policies")


def test_a_schema_that_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"resource\.nothing is missing"):
        schema.load("resource.nothing")


def test_every_kind_of_resource_has_a_schema() -> None:
    assert RESOURCES == [
        "resource.db",
        "resource.guard",
        "resource.lock",
        "resource.role.regate-v1",
        "resource.role.v7",
        "resource.token",
        "resource.user",
    ]


@pytest.mark.parametrize("name", RESOURCES)
def test_a_schema_is_valid_and_stands_alone(name: str) -> None:
    """OPA does not follow a reference to another file."""
    found = schema.load(name)
    Draft202012Validator.check_schema(found)
    text = json.dumps(found)
    assert text.count('"$ref": "#/$defs/') == text.count('"$ref"')
