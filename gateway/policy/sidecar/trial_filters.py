"""Whether OPA can write each row filter of a bundle as a condition in SQL, tried before it takes effect.

A filter that cannot be written refuses every statement about its table when somebody asks; here it refuses
the bundle, with file and line.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gateway.errors import ConfigError, PolicyError
from gateway.model.resource import Database
from gateway.policy.client import PolicyClient
from gateway.policy.document import SessionQuestion

_PACKAGE = re.compile(r"^package\s+gateway\.guards\.(\S+)", re.MULTILINE)
_PART = re.compile(r'\.?([A-Za-z0-9_]+)|\["([^"]+)"\]')
_INCLUDE = re.compile(r"^(?:default\s+)?include\b", re.MULTILINE)


def guards(files: Mapping[str, str]) -> dict[str, str]:
    """The guards that filter rows, as OPA's compile API names them, and where (``file:line``)."""
    return dict(_guards(files))


def _guards(files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for file, text in sorted(files.items()):
        package, include = _PACKAGE.search(text), _INCLUDE.search(text)
        if package is not None and include is not None:
            parts = [plain or quoted for plain, quoted in _PART.findall(package[1])]
            yield "/".join(parts), f"{file}:{text.count(chr(10), 0, include.start()) + 1}"


def sessions(recorded: Iterable[Mapping[str, Any]], most: int = 3) -> list[SessionQuestion]:
    """Whose filters are tried: the different sessions of recorded questions, then somebody without a role."""
    found = {json.dumps(value["session"], sort_keys=True): _session(value["session"]) for value in recorded}
    return [*list(found.values())[:most], _session({})]


def _session(value: Mapping[str, Any]) -> SessionQuestion:
    about = value.get("database", {})
    database = Database(
        about.get("name", "unlabelled"), about.get("protocol", "postgres"), "", labels=about.get("labels", {})
    )
    return SessionQuestion(
        value.get("user", "nobody"),
        tuple(value.get("roles", ())),
        value.get("data_revision", 0),
        database,
        value.get("db_user", "app"),
        value.get("db_name", "app"),
        "",
        value.get("client_address", "127.0.0.1"),
    )


async def attempt(
    asker: PolicyClient, files: Mapping[str, str], recorded: Iterable[Mapping[str, Any]]
) -> None:
    """Let OPA write each filter in *files*, the team's by name, for the sessions of *recorded* questions.

    Raises:
        ConfigError: one cannot be written; with file and line.
    """
    found = guards(files)
    if not found:
        return
    for session in sessions(recorded):
        for guard, place in found.items():
            try:
                await asker.row_filter(session, guard)
            except PolicyError as error:
                sentence = f"{place}: the row filter of guard {guard} cannot be used: {error}"
                hint = "compare columns of input.row with values: ==, <, startswith, in, and their like"
                raise ConfigError(sentence, hint=hint) from error
