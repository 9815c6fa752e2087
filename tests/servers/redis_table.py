"""Writes the table of Redis' commands from a server's own ``COMMAND``; run it again for a newer server.

python -m tests.servers.redis_table HOST:PORT > gateway/protocols/redis/commands.json
"""

import json
import subprocess
import sys
from typing import Any

_KEPT = frozenset({"RO", "RW", "OW", "RM", "access", "insert", "update", "delete", "not_key", "incomplete"})


def table(commands: list[Any]) -> dict[str, Any]:
    """Each command and subcommand, by its lower-case name: arity, flags, categories, key specifications."""
    found: dict[str, Any] = {}
    for command in commands:
        name, arity, flags, _, _, _, categories, _, specs, subcommands = command
        found[name.lower()] = {
            "arity": arity,
            "flags": sorted(flags),
            "categories": sorted(category.removeprefix("@") for category in categories),
            "keys": [_spec(spec) for spec in specs],
        }
        if subcommands:
            found[name.lower()]["container"] = True
            found |= table(subcommands)
    return dict(sorted(found.items()))


def _spec(spec: dict[str, Any]) -> dict[str, Any]:
    begin, find = spec["begin_search"], spec["find_keys"]
    return {
        "flags": sorted(_KEPT.intersection(spec["flags"])),
        "begin": {"type": begin["type"], **begin["spec"]},
        "find": {"type": find["type"], **find["spec"]},
    }


def ask(host: str, port: int) -> list[Any]:
    """The server's answer."""
    command = ["redis-cli", "-h", host, "-p", str(port), "--json", "COMMAND"]
    answer: list[Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return answer


if __name__ == "__main__":
    host_name, _, number = sys.argv[1].rpartition(":")
    lines = [
        f"{json.dumps(name)}: {json.dumps(value, sort_keys=True)}"
        for name, value in table(ask(host_name, int(number))).items()
    ]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")
