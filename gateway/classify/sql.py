"""What a statement does, to what. Pure; never raises, never guesses: what is not understood says so.

``parse`` gives what the text alone says and is cached by the exact text; ``resolve`` says what the names in
it mean at this moment, at each use, and returns the very same tuple while text and context are the same.
"""

from collections import OrderedDict
from dataclasses import replace
from typing import Final, TypeAlias

from gateway.classify import alike, redact
from gateway.classify.dialect import Dialect, Modes
from gateway.classify.doubt import Doubt
from gateway.classify.facts import Parsed, Piece
from gateway.classify.mysql import MARIADB, MYSQL
from gateway.classify.operations import CLASS_OF
from gateway.classify.postgres import POSTGRES
from gateway.classify.postgres.types import LOOKED_UP
from gateway.model.classification import Classification, Effect, Named
from gateway.model.statement import NameContext, Statement

Facts: TypeAlias = tuple[Classification, ...]
Key: TypeAlias = tuple[str, str, str, Modes]
"""Dialect, server version, exact text, and the modes that steer lexing where they are not pinned."""

DIALECTS: Final = {dialect.name: dialect for dialect in (POSTGRES, MYSQL, MARIADB)}

_NO_MODES: Final[Modes] = frozenset()
_CACHED_TEXTS = 4_096
_CACHED_CHARACTERS = 16 << 20
_LONGEST_CACHED = 1 << 21  # what a pool has read must be found again
_CONTEXTS = 64
_POOL_TEXT = 4_096
_POOL_DEPTH = 16


class _Cache:
    """The texts read last, bounded by number and by size."""

    def __init__(self) -> None:
        self.entries: OrderedDict[Key, Parsed] = OrderedDict()
        self.characters = 0

    def put(self, key: Key, parsed: Parsed) -> None:
        if len(key[2]) > _LONGEST_CACHED or key in self.entries:
            return
        self.entries[key] = parsed
        self.characters += len(key[2])
        while len(self.entries) > _CACHED_TEXTS or self.characters > _CACHED_CHARACTERS:
            (_, _, text, _), _ = self.entries.popitem(last=False)
            self.characters -= len(text)


_cache = _Cache()
_forms = _Cache()  # by texts without the numbers that make no difference


def classify(statement: Statement) -> Facts:
    """One classification for each SQL statement in the text; none for blanks and comments."""
    if statement.unreadable:
        return (_unknown(statement.unreadable),)
    dialect = DIALECTS.get(statement.dialect)
    if dialect is None:
        return (_unknown(Doubt.DIALECT.value, statement.text),)
    if statement.settings:
        return _startup(dialect, statement)
    parsed = parse(statement.text, statement.dialect, statement.server_version, statement.modes)
    facts = resolve(parsed, statement.names)
    return _with_parameters(parsed, facts, statement) if statement.parameters else facts


def parse(text: str, dialect: str, server_version: str = "", modes: Modes = _NO_MODES) -> Parsed:
    """What *text* alone says; remembered for the next time."""
    key = (dialect, server_version, text, modes)
    entries = _cache.entries
    parsed = entries.get(key)
    if parsed is not None:
        entries.move_to_end(key)
        return parsed
    form = alike.form(text)
    pattern = _forms.entries.get((dialect, server_version, form, modes)) if form else None
    if pattern is not None:
        parsed = alike.like(pattern, text)
    else:
        parsed = parse_uncached(text, dialect, server_version, modes)
        if form and alike.is_pattern(parsed, text):
            _forms.put((dialect, server_version, form, modes), parsed)
    _cache.put(key, parsed)
    return parsed


def parse_uncached(text: str, dialect: str, server_version: str = "", modes: Modes = _NO_MODES) -> Parsed:
    """The same, computed here and now; what a pool's worker runs. The result can be pickled."""
    known = DIALECTS.get(dialect)
    if known is None:
        return Parsed(dialect, (_unknown_piece(Doubt.DIALECT.value, text),))
    try:
        return Parsed(dialect, known.read(text, server_version, modes))
    except Exception:  # noqa: BLE001 - this module's promise: whatever goes wrong in here is a refusal
        return Parsed(dialect, (_unknown_piece(Doubt.SYNTAX.value, text),))


def not_parsed(text: str, dialect: str) -> Parsed:
    """What stands for *text* when reading it took too long."""
    return Parsed(dialect, (_unknown_piece(Doubt.TIMEOUT.value, text),))


def remember(text: str, dialect: str, server_version: str, parsed: Parsed, modes: Modes = _NO_MODES) -> None:
    """Keep what a pool's worker computed."""
    _cache.put((dialect, server_version, text, modes), parsed)


def is_remembered(text: str, dialect: str, server_version: str = "", modes: Modes = _NO_MODES) -> bool:
    """True when ``parse`` would answer at once."""
    return (dialect, server_version, text, modes) in _cache.entries


def needs_pool(text: str) -> bool:
    """True when reading *text* could hold up an event loop: it is long, or deep."""
    if len(text) > _POOL_TEXT:
        return True
    if text.count("(") + text.count("[") <= _POOL_DEPTH:
        return False
    depth = deepest = 0
    for letter in text:
        if letter in "([":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in ")]":
            depth -= 1
    return deepest > _POOL_DEPTH


def resolve(parsed: Parsed, names: NameContext) -> Facts:
    """What *parsed* means where names mean what *names* says; the same tuple for the same two."""
    known = parsed.memo.get(id(names))
    if known is not None and known[0] is names:
        return known[1]
    value = (names.db_name, names.db_user, names.search_path, names.has_temporary, id(names.catalog))
    shared = parsed.by_value.get(value)
    if shared is not None and shared[0] is names.catalog:
        facts = shared[1]
    else:
        facts = _resolved(parsed, names)
        if len(parsed.by_value) >= _CONTEXTS:
            parsed.by_value.clear()
        parsed.by_value[value] = (names.catalog, facts)
    if len(parsed.memo) >= _CONTEXTS:
        parsed.memo.clear()
    parsed.memo[id(names)] = (names, facts)
    return facts


def _resolved(parsed: Parsed, names: NameContext) -> Facts:
    if parsed.like is not None:
        pairs = zip(resolve(parsed.like, names), parsed.pieces, strict=True)
        return tuple(replace(item, text=piece.text, redacted=piece.redacted) for item, piece in pairs)
    return DIALECTS.get(parsed.dialect, POSTGRES).resolve(parsed.pieces, names)


def _with_parameters(parsed: Parsed, facts: Facts, statement: Statement) -> Facts:
    """Reading a value of a user's type runs that type's code, as a cast to it would."""
    key = ("parameters", id(facts), statement.parameters)
    known = parsed.by_value.get(key)
    if known is not None and known[0] is facts:
        return known[1]
    catalog = statement.names.catalog
    numbers = catalog.numbers if catalog is not None else {}
    named = []
    for number in statement.parameters:
        schema, name = numbers.get(number, ("", LOOKED_UP.get(number, f"oid {number}")))
        named.append(Named(name, schema, builtin=False))
    made = tuple(replace(item, casts=tuple(dict.fromkeys((*item.casts, *named)))) for item in facts)
    if len(parsed.by_value) >= _CONTEXTS:
        parsed.by_value.clear()
    parsed.by_value[key] = (facts, made)
    return made


def _startup(dialect: Dialect, statement: Statement) -> Facts:
    piece = dialect.startup(statement.settings)
    names = ", ".join(sorted(statement.settings))
    return tuple(
        _with_text(item, f"startup settings: {names}") for item in dialect.resolve((piece,), statement.names)
    )


def _with_text(item: Classification, text: str) -> Classification:
    return Classification(
        operation=item.operation,
        cls=item.cls,
        effects=item.effects,
        settings=item.settings,
        complete=item.complete,
        unknown_reason=item.unknown_reason,
        fingerprint=item.operation,
        redacted=text,
    )


def _unknown(reason: str, text: str = "") -> Classification:
    return Classification(
        operation="unknown",
        cls=CLASS_OF["unknown"],
        effects=(Effect("unknown", CLASS_OF["unknown"]),),
        complete=False,
        unknown_reason=reason,
        text=text,
        redacted=redact.unreadable(text) if text else "",
    )


def _unknown_piece(reason: str, text: str) -> Piece:
    return Piece(
        text=text,
        operation="unknown",
        effects=(Effect("unknown", CLASS_OF["unknown"]),),
        reason=reason,
        redacted=redact.unreadable(text),
    )
