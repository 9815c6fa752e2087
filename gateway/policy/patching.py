"""What changed between two data documents, as a JSON Patch (RFC 6902). Pure.

OPA takes a patch in one transaction: a decision sees the data before it or after it, never a part.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

# Roles, users and databases stand by name in the first level, prepared roles in the second.
_DEEP: Final = 3
_MOST: Final = 1_000  # beyond, the whole document is not much more


def patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The operations that turn *old* into *new*; None when they are so many that *new* is sent as a whole."""
    found: list[dict[str, Any]] = []
    for operation in _operations(old, new, "", _DEEP):
        found.append(operation)
        if len(found) > _MOST:
            return None
    return found


def _operations(
    old: Mapping[str, Any], new: Mapping[str, Any], path: str, deep: int
) -> Iterator[dict[str, Any]]:
    for name in old.keys() - new.keys():
        yield {"op": "remove", "path": f"{path}/{_escaped(name)}"}
    for name, value in new.items():
        here = f"{path}/{_escaped(name)}"
        if name not in old:
            yield {"op": "add", "path": here, "value": value}
        elif (before := old[name]) is not value and before != value:
            if deep > 1 and isinstance(before, Mapping) and isinstance(value, Mapping):
                yield from _operations(before, value, here, deep - 1)
            else:
                yield {"op": "replace", "path": here, "value": value}


def _escaped(name: str) -> str:
    """As RFC 6901 has it, and ``%`` as in an address: OPA reads both, else ``%61`` would be ``a``."""
    return name.replace("~", "~0").replace("/", "~1").replace("%", "%25")
