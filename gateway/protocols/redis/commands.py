"""What a command does, to which keys and channels, as facts; never a guess.

The table is the server's own. What it does not say stands here: which commands end the order of replies or
change who the connection is (``NEVER``: they are not forwarded, whatever was decided), which only concern the
connection, and which look at the whole database.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from gateway.classify.operations import CLASS_OF
from gateway.model.classification import Class, Classification, Effect, ObjectRef, worst
from gateway.model.statement import Statement
from gateway.protocols.redis import keys, redact, table
from gateway.sansio.exchange import Facts

DIALECT: Final = "redis"

NEVER: Final = {
    "auth": "the gateway is logged in already, and no password is needed",
    "reset": "it would drop the login of this session",
    "monitor": "it shows what everybody else sends",
    "sync": "replication is not offered",
    "psync": "replication is not offered",
    "replconf": "replication is not offered",
    "client|reply": "answers must keep their order",
    "asking": "it belongs to a cluster's own nodes",
    "gateway.address": "it stands ahead of the first command, and has one address",
    "restore-asking": "it belongs to a cluster's own nodes",
}  # fmt: skip
_SESSION: Final = frozenset(
    {
        "client|caching", "client|getname", "client|getredir", "client|help", "client|id", "client|info",
        "client|no-touch", "client|setinfo", "client|setname", "client|trackinginfo", "cluster|help",
        "cluster|info", "cluster|keyslot", "cluster|myid", "cluster|nodes", "cluster|shards", "cluster|slots",
        "command", "command|count", "command|docs", "command|getkeys", "command|getkeysandflags",
        "command|help", "command|info", "command|list", "echo", "lolwut", "ping", "quit", "readonly",
        "readwrite", "time", "unwatch", "wait", "acl|whoami",
    }
)  # fmt: skip
_LATER: Final = frozenset({"client|no-touch", "client|setinfo"})  # of 7.2: older servers answer an error
_TRANSACTION: Final = {"multi": "begin", "exec": "commit", "discard": "rollback"}
_KEYSPACE: Final = {
    "dbsize": "select", "keys": "select", "randomkey": "select", "scan": "select",
    "cluster|countkeysinslot": "select", "cluster|getkeysinslot": "select",
    "flushall": "truncate", "flushdb": "truncate",
}  # fmt: skip
_LISTEN: Final = frozenset({"subscribe", "psubscribe", "ssubscribe"})
_DEAF: Final = frozenset({"unsubscribe", "punsubscribe", "sunsubscribe"})
_NOTIFY: Final = frozenset({"publish", "spublish"})
_SCRIPTS: Final = frozenset({"eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro"})
_ELSEWHERE: Final = frozenset({"move", "swapdb"})
_PLAIN_TRACKING: Final = frozenset({b"ON", b"OFF", b"OPTIN", b"OPTOUT", b"NOLOOP"})


class _Doubt(Exception):  # noqa: N818  # it never leaves this module
    """Part of the command is not understood; the message is a stable code."""


_KEPT: Final = 4_096  # commands whose facts are kept
_SHORT: Final = 256  # bytes of such a command
_known: dict[tuple[tuple[bytes, ...], str], Facts] = {}


def classify(statement: Statement) -> Facts:
    """The facts of one command; of short ones they are kept, and the same command gets the same object."""
    arguments = statement.arguments
    if not arguments:
        return ()
    key = (arguments, statement.names.db_name)
    facts = _known.get(key)
    if facts is None:
        facts = _classify(arguments, statement)
        if sum(map(len, arguments)) <= _SHORT and not redact.is_secret(table.name_of(arguments)):
            if len(_known) >= _KEPT:
                del _known[next(iter(_known))]
            _known[key] = facts
    return facts


def _classify(arguments: tuple[bytes, ...], statement: Statement) -> Facts:
    name = table.name_of(arguments)
    effects: list[Effect] = []
    reason = ""
    try:
        _collect(name, arguments, statement, effects)
    except (_Doubt, keys.UnclearError) as doubt:
        reason = str(doubt)
    operation = effects[0].operation if effects and not reason else "unknown"
    return (
        Classification(
            operation=operation,
            cls=Class.UNKNOWN if reason else worst([effect.cls for effect in effects]),
            effects=tuple(effects),
            complete=not reason,
            unknown_reason=reason,
            fingerprint=name if name in table.commands() else "unknown",
            text=statement.text,
            redacted=redact.text(name, arguments, is_known=name in table.commands()),
        ),
    )


def is_never(arguments: Sequence[bytes], opened: str = "") -> str:
    """Why a command is not forwarded whatever was decided; empty for all others.

    *opened* is the number of the database that the session names: it was asked about, and others were not.
    A session that names none, or is at a cluster, which has one, may go on to others.
    """
    name = table.name_of(tuple(arguments))
    if name == "hello" and any(word.upper() == b"AUTH" for word in arguments[2:]):
        return NEVER["auth"]
    if opened and _leaves(name, arguments, opened):
        return f"this session opened database {opened}; say --db-name for another one"
    return NEVER.get(name, "")


def _leaves(name: str, arguments: Sequence[bytes], opened: str) -> bool:
    """True for what goes to another database than *opened*, or changes one."""
    if name == "select":
        return list(arguments[1:]) != [opened.encode()]
    if name == "copy":
        named = [number for word, number in pairwise(arguments[3:]) if word.upper() == b"DB"]
        return named != [opened.encode()] * len(named)
    return name in _ELSEWHERE or name == "flushall"


def _collect(name: str, arguments: tuple[bytes, ...], statement: Statement, effects: list[Effect]) -> None:
    """Put every effect into *effects*, as far as they are known before a doubt ends it."""
    if is_never(arguments):
        raise _Doubt("not_offered")
    command = table.commands().get(name)
    if command is None and name not in _LATER:
        raise _Doubt("unknown_command")
    if command is not None and not command.takes(len(arguments)):
        raise _Doubt("wrong_number_of_arguments")
    if name in _TRANSACTION:
        effects.append(_effect(_TRANSACTION[name]))
    elif _is_of_the_session(name, arguments):
        effects.append(_effect("set"))
    elif name == "select" or name in _KEYSPACE:
        _collect_keyspace(name, arguments, statement.names.db_name or "0", effects)
    elif name in _LISTEN:
        effects.extend(_effect("listen", "channel", channel) for channel in arguments[1:])
    elif name in _NOTIFY:
        effects.append(_effect("notify", "channel", arguments[1]))
    else:
        assert command is not None
        _collect_keys(command, arguments, effects)


def _is_of_the_session(name: str, arguments: tuple[bytes, ...]) -> bool:
    """True for what concerns this connection and nothing else."""
    if name == "client|tracking":  # of what this connection reads; of prefixes it would tell all names
        return _PLAIN_TRACKING.issuperset(word.upper() for word in arguments[2:])
    return name in _SESSION or name in _DEAF or name in _LATER or name == "hello"


def _collect_keyspace(name: str, arguments: tuple[bytes, ...], opened: str, effects: list[Effect]) -> None:
    """What concerns a database as a whole: the one that was opened, and no other."""
    if name == "select":
        effects.append(_effect("set"))
        if arguments[1].decode("latin-1") != opened:
            raise _Doubt("other_database")
        return
    effects.append(_effect(_KEYSPACE[name], "keyspace", b"*"))
    if name == "flushall":
        raise _Doubt("other_database")


def _collect_keys(command: table.Command, arguments: tuple[bytes, ...], effects: list[Effect]) -> None:
    """A command on keys, or one about the server itself."""
    for key in keys.keys(command, arguments):
        effects.extend(_effect(operation, "key", key.name) for operation in key.operations)
    if command.name in _SCRIPTS:
        raise _Doubt("script")
    if command.name in _ELSEWHERE or (
        command.name == "copy" and any(word.upper() == b"DB" for word in arguments[3:])
    ):
        raise _Doubt("other_database")
    if "admin" in command.categories or not effects:
        effects.append(_effect("administer", "command", command.name.replace("|", " ").encode()))


def _effect(operation: str, kind: str = "", name: bytes = b"") -> Effect:
    cls = CLASS_OF[operation]
    if not kind:
        return Effect(operation, cls)
    try:
        return Effect(operation, cls, ObjectRef(kind, name.decode("utf-8")))
    except UnicodeDecodeError:
        raise _Doubt("name_not_text") from None
