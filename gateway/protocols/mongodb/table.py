"""The commands of a server's reference, with the rule that says what each is about: ``commands.json``.

``on`` is one of

* ``own``: ``commands`` has a reader for it, because namespaces, conditions or code stand in its fields;
* ``collection``: its value is the name of a collection of the database in ``$db``;
* ``namespace``: its value is ``database.collection``;
* ``database``: it is about that database; ``right``: it changes who may do what there;
* ``command``: it is about the server, and stands for itself;
* ``session``: it is about this connection and nothing else;
* ``unclear``: what it does stands in code, or on another server;
* ``gateway``: answered here, and never forwarded; ``never``: not forwarded, for ``reason``.

A test holds the names against the list of the reference's pages and against a server's ``listCommands``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

RULES: Final = frozenset(
    {
        "own",
        "collection",
        "namespace",
        "database",
        "right",
        "command",
        "session",
        "unclear",
        "gateway",
        "never",
    }
)


@dataclass(frozen=True, slots=True)
class Command:
    """One command by the name that the server takes; ``reader`` is the name whose reader it shares."""

    name: str
    on: str
    operation: str
    reader: str
    reason: str


@cache
def commands() -> Mapping[str, Command]:
    """Every command by its name, which the server takes in no other letters."""
    found: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("commands.json").read_text())
    return {
        name: Command(
            name, value["on"], value.get("operation", ""), value.get("same_as", name), value.get("reason", "")
        )
        for name, value in found.items()
    }
