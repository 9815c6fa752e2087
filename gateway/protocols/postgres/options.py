"""The ``options`` of a StartupMessage: command-line switches, split as the server splits them.

Blanks separate arguments and a backslash takes the next character as it is (``pg_split_opts``). Only switches
that set a configuration parameter are understood, ``-c name=value`` and ``--name=value``; others are refused.
"""

from gateway.errors import ProtocolError

_BLANKS = " \t\n\r\v\f"


def split(options: str) -> list[str]:
    """The arguments in *options*."""
    arguments: list[str] = []
    at, size = 0, len(options)
    while True:
        while at < size and options[at] in _BLANKS:
            at += 1
        if at >= size:
            return arguments
        taken: list[str] = []
        while at < size and options[at] not in _BLANKS:
            if options[at] == "\\":
                at += 1
            if at < size:
                taken.append(options[at])
            at += 1
        arguments.append("".join(taken))


def settings(options: str) -> dict[str, str]:
    """The settings that *options* make, the last of a name winning as it does in the server."""
    found: dict[str, str] = {}
    arguments = iter(split(options))
    for argument in arguments:
        if argument.startswith("--"):
            assignment = argument[2:]
        elif argument == "-c":
            assignment = next(arguments, "")
        elif argument.startswith("-c"):
            assignment = argument[2:]
        else:
            raise ProtocolError(f"start-up option {argument[:40]!r} is not one that sets a parameter")
        name, equals, value = assignment.partition("=")
        if not name or not equals:
            raise ProtocolError(f"start-up option {argument[:40]!r} has no name=value")
        found[check_setting(setting_name(name))] = value
    return found


# These are fields of the StartupMessage; as settings they would take their places in the gateway's own.
_NO_SETTINGS = frozenset({"user", "database", "options", "replication"})


def check_setting(name: str) -> str:
    """*name*, unless it is one that no setting may have."""
    if name in _NO_SETTINGS or name.startswith("_pq_"):
        raise ProtocolError(f"{name[:40]!r} is not a setting")
    return name


def setting_name(name: str) -> str:
    """A parameter's name as the server compares it: ASCII lower case, hyphens as underscores."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in name).replace("-", "_")
