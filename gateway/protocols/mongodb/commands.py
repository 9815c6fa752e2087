"""What a command does, to which collections, as facts; never a guess.

A statement's ``arguments`` are the command's name, its body, and the lists that stood beside it, each as its
name, a NUL and its documents. For a getMore the arguments of the command that opened the cursor follow
behind ``OPENED_BY``: asking on is asking for that again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as held
from functools import lru_cache
from typing import Any, Final

from bson.dbref import DBRef

from gateway.model.classification import Class, Classification, worst
from gateway.model.statement import Statement
from gateway.protocols.mongodb import documents, readers, redact, shapes, table
from gateway.protocols.mongodb.documents import UnreadableError
from gateway.protocols.mongodb.effects import Effects
from gateway.protocols.mongodb.fields import DoubtError
from gateway.protocols.mongodb.taking import NOISY, Command, plain, take
from gateway.sansio.exchange import Facts

DIALECT: Final = "mongodb"
OPENED_BY: Final = b"\0opened-by"
FORGOTTEN: Final = b"\0forgotten"
"""Behind a getMore or killCursors: the cursor is not one that this person opened here."""
FOREIGN: Final = b"\0foreign"
"""Behind any command: it stands in a session, ``lsid``, that somebody else used first."""
_MARKS: Final = {
    FORGOTTEN: ("cursor_not_known", "the cursor is none that you opened here"),
    FOREIGN: ("session_not_known", "its session (lsid) is none of yours"),
}

_KEPT_BYTES: Final = 8 << 10  # of a command whose facts are kept
_SEEN_BYTES: Final = 1 << 20  # of one whose facts are kept until it is sent
_MAX_NOISE: Final = 4 << 10
_ANYWHERE: Final = frozenset(
    {"renameCollection", "bulkWrite", "listDatabases"}
)  # sent to admin, whatever they name
_WHO: Final = frozenset({"usersInfo", "rolesInfo"})
# Doubts that cannot hide a namespace: what else is not understood may reach into any database.
_UNREADABLE: Final = {
    "too_long": "it is longer than what is read here; send less at a time",
    "too_deep": f"it has more than {documents.MAX_DEPTH} levels",
}
_INSIDE: Final = frozenset({"unknown_operator", "strange_name"})


def classify(statement: Statement) -> Facts:
    """The facts of one command."""
    arguments = statement.arguments
    if not arguments:
        return ()
    if OPENED_BY in arguments:
        at = arguments.index(OPENED_BY)
        return _asked_on(statement, arguments[:at], arguments[at + 1 :])
    return judged(arguments, statement.names.db_name)[0]


def against(arguments: Sequence[bytes], opened: str) -> str:
    """Why a command is not forwarded, whatever was decided; empty for all others.

    A session opens one database. What names another, or may do so without anybody having understood it, would
    be outside of what the connect was granted.
    """
    for mark, (_, reason) in _MARKS.items():
        if mark in arguments:
            return reason
    until = arguments.index(OPENED_BY) if OPENED_BY in arguments else len(arguments)
    return judged(arguments[:until], opened)[1]


def judged(arguments: Sequence[bytes], opened: str) -> tuple[Facts, str]:
    """The facts, and why it is not forwarded: the same objects while it is remembered.

    *arguments* stand alone: what is ``OPENED_BY`` another is for ``classify``.
    """
    size = sum(map(len, arguments))
    if size > _KEPT_BYTES + _MAX_NOISE:
        return (_seen if size <= _SEEN_BYTES else _facts)(tuple(arguments), opened)
    body = arguments[1]
    if NOISY.search(body):
        arguments = (arguments[0], plain(body)[0], *arguments[2:])
    if sum(map(len, arguments)) <= _KEPT_BYTES:
        return _remembered(tuple(arguments), opened)
    return _facts(tuple(arguments), opened)


@lru_cache(maxsize=16)
def _seen(arguments: tuple[bytes, ...], opened: str) -> tuple[Facts, str]:
    return _facts(arguments, opened)


@lru_cache(maxsize=2048)
def _remembered(arguments: tuple[bytes, ...], opened: str) -> tuple[Facts, str]:
    """The facts of a short command; the shape of those that differ in plain values is read once."""
    found = shapes.slots(arguments)
    known = None if found is None else _shape(_Like(found.key, arguments, found), opened)
    if found is not None and known is not None:
        facts = shapes.filled(known, found, arguments[1])
        if facts is not None:
            return (facts,), known.refused
    return _facts(arguments, opened)


@dataclass(frozen=True, slots=True)
class _Like:
    """A command that is equal to all of its shape."""

    key: tuple[bytes, ...]
    arguments: tuple[bytes, ...] = held(compare=False)
    slots: shapes.Slots = held(compare=False)


@lru_cache(maxsize=512)
def _shape(like: _Like, opened: str) -> shapes.Shape | None:
    (facts,), refused = _facts(shapes.strange(like.arguments, like.slots), opened)
    return shapes.shape(like.slots, facts, refused)


def _facts(arguments: tuple[bytes, ...], opened: str) -> tuple[Facts, str]:
    name = arguments[0].decode("utf-8", "replace")
    try:
        command = take([part for part in arguments if part not in _MARKS])
    except UnreadableError as error:
        shown = redact.unreadable(name, b"".join(arguments[1:]))
        made = _classification(Effects("", opened), str(error), shown, "unknown")
        return (made,), _UNREADABLE.get(str(error), "it cannot be read in one way only")
    effects, doubt = _collect(command, opened)
    refused = _against(command, effects, doubt)
    for mark, (code, _) in _MARKS.items():
        doubt = code if mark in arguments else doubt
    if effects.elsewhere:
        doubt = doubt or "other_database"
    shown = redact.text(command.name, command.fields, command.inserted, is_known=not doubt)
    return (
        _classification(effects, doubt, shown, redact.fingerprint(command.name, command.fields)),
    ), refused


def _against(command: Command, effects: Effects, doubt: str) -> str:
    known = table.commands().get(command.name)
    if known is not None and known.on == "never":
        return known.reason
    if type(command.fields.get("$db")) is not str:
        return "$db must be a text"
    opened = effects.opened
    if effects.elsewhere:
        return f"this session opened the database {opened!r}, not {effects.elsewhere!r}"
    about_rights = known is not None and (known.on == "right" or known.name in _WHO)
    if opened and about_rights and (_may_leave(command, opened) or command.sequences):
        return f"this session opened no database but {opened!r}"
    if opened and doubt and (doubt not in _INSIDE or _may_leave(command, opened)):
        return f"it was not understood ({doubt}), and this session opened no database but {opened!r}"
    return ""


def _may_leave(command: Command, opened: str) -> bool:
    """True when what was not read behind a doubt may name another database."""
    left: list[Any] = [dict(command.fields)]
    while left:
        value = left.pop()
        if isinstance(value, DBRef):
            value = value.as_doc()
        if isinstance(value, list):
            left += value
        elif isinstance(value, dict):
            if value.get("db", opened) != opened or "forAllDBs" in value:
                return True
            left += value.values()
    return command.name in {"renameCollection", "bulkWrite"}


def _collect(command: Command, opened: str) -> tuple[Effects, str]:
    """The effects, and a doubt if there is one."""
    database = command.fields.get("$db")
    effects = Effects(database if type(database) is str else "", opened)
    try:
        if type(database) is not str:  # code is a text too, to Python
            raise DoubtError("no_database_name")  # noqa: TRY301 -- one place turns doubts into facts
        _read(command, effects)
        if not effects.found:
            raise DoubtError("nothing_asked")  # noqa: TRY301
    except DoubtError as doubt:
        return effects, str(doubt)
    except RecursionError:
        return effects, "too_deep"
    return effects, ""


def _read(command: Command, effects: Effects) -> None:
    name, fields = command.name, command.fields
    known = table.commands().get(name)
    if known is None:
        raise DoubtError("unknown_command")
    if known.on == "session":
        effects.of_session(known.operation)
        return
    if name not in _ANYWHERE or effects.database not in {"admin", effects.opened}:
        effects.place(effects.database)
    if known.on == "own":
        if known.reader == "getMore":
            effects.of_collection("select", fields.get("collection"))
        else:
            readers.read(known.reader, fields, effects)
        return
    _by_rule(known, fields.get(name), effects)


def _by_rule(known: table.Command, value: Any, effects: Effects) -> None:
    match known.on:
        case "collection":
            effects.of_collection(known.operation, value)
        case "namespace":
            effects.of_namespace(known.operation, value)
        case "database":
            effects.of_database(known.operation)
        case "right":
            effects.of_thing(known.operation, "user" if "User" in known.name else "role", str(value))
        case "command":
            effects.of_thing(known.operation, "command", known.name)
        case "never" | "gateway":
            raise DoubtError("not_offered")
        case _:
            raise DoubtError("script")


def _asked_on(statement: Statement, own: Sequence[bytes], opener: Sequence[bytes]) -> Facts:
    """A getMore: the effects are those of the command that opened the cursor."""
    opened = statement.names.db_name
    ((first,), _) = judged(opener, opened)
    try:
        command = take(own)
    except UnreadableError as error:
        shown = redact.unreadable("getMore", b"".join(own[1:]))
        return (_classification(Effects("", opened), str(error), shown, "unknown"),)
    name = command.name
    reads = tuple(effect for effect in first.effects if effect.cls is Class.READ)
    return (
        Classification(
            operation="select",
            cls=worst([effect.cls for effect in reads]) if first.complete else Class.UNKNOWN,
            effects=reads,
            functions=first.functions,
            complete=first.complete,
            unknown_reason=first.unknown_reason,
            fingerprint=f"{name} {first.fingerprint}"[: redact.MAX_FINGERPRINT],
            redacted=redact.text(name, command.fields, (), is_known=first.complete),
        ),
    )


def _classification(effects: Effects, doubt: str, shown: str, fingerprint: str) -> Classification:
    found = tuple(effects.found.values())
    return Classification(
        operation=found[0].operation if found and not doubt else "unknown",
        cls=Class.UNKNOWN if doubt else worst([effect.cls for effect in found]),
        effects=found,
        functions=tuple(effects.functions.values()),
        complete=not doubt,
        unknown_reason=doubt,
        fingerprint=fingerprint,
        redacted=shown,
    )
