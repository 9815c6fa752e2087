"""The commands that a server knows, as its own ``COMMAND`` tells them: ``commands.json``, Redis 7.0.

``tests/servers/redis_table.py`` writes that file; a test holds it against the server that is installed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Command:
    """One command, or one subcommand as ``container|name``; a negative ``arity`` is a least number."""

    name: str
    arity: int
    categories: frozenset[str]
    keys: tuple[Mapping[str, Any], ...]

    def takes(self, count: int) -> bool:
        """True when the server takes so many arguments, the name among them."""
        return count == self.arity if self.arity >= 0 else count >= -self.arity


_CONTAINED: Final = "container"
_LATER: Final[Mapping[str, int]] = {"zrank": -3, "zrevrank": -3}  # WITHSCORE, since Redis 7.2


@cache
def commands() -> Mapping[str, Command]:
    """Every command by its name in lower case; those that only contain others are not among them."""
    found: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("commands.json").read_text())
    return {
        name: Command(
            name, _LATER.get(name, value["arity"]), frozenset(value["categories"]), tuple(value["keys"])
        )
        for name, value in found.items()
        if not value.get(_CONTAINED) or name == "command"
    }


@cache
def containers() -> frozenset[str]:
    """The commands whose second word is part of their name."""
    return frozenset(name.partition("|")[0] for name in commands() if "|" in name)


def name_of(arguments: tuple[bytes, ...]) -> str:
    """The name under which a command stands in the table, whether it is there or not."""
    first = arguments[0].decode("latin-1").lower()
    if first in containers() and len(arguments) > 1:
        return f"{first}|{arguments[1].decode('latin-1').lower()}"
    return first
