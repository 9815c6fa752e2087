"""The files that ship beside the code: policies, JSON Schemas, OPA's settings and examples.

In a wheel they are package data below ``gateway/_data``; in a checkout they are the top-level folders.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from gateway.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parent


def data_dir(name: str) -> Path:
    """The folder *name* (policies, schemas, opa, examples), wherever this copy of Regate keeps it."""
    # The package's own copy comes first: beside an installed package, any other project may have put a
    # folder called "schemas".
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise ConfigError(f"the folder {name} is missing from this installation", hint="install regate again")


@cache
def load(name: str) -> Mapping[str, Any]:
    """The JSON Schema called *name*, for example ``resource.role``."""
    path = data_dir("schemas") / f"{name}.json"
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the schema {name} is missing from this installation") from error
    assert isinstance(schema, dict)
    return schema
