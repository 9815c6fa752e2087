"""Facts for tests of the protocol: what a statement does, told by its first word and little more.

The protocol needs facts only to know what steers a session; it must not matter to its tests how well SQL is
read.
"""

import re

from gateway.model.classification import Class, Classification, Effect, Named, Setting
from gateway.model.statement import Statement
from gateway.sansio.exchange import Facts

_KNOWN = {
    "select": Class.READ,
    "insert": Class.WRITE,
    "update": Class.WRITE,
    "delete": Class.WRITE,
    "create": Class.DDL,
    "drop": Class.DDL,
    "alter": Class.DDL,
    "begin": Class.SESSION,
    "commit": Class.SESSION,
    "rollback": Class.SESSION,
    "savepoint": Class.SESSION,
    "set": Class.SESSION,
    "reset": Class.SESSION,
    "prepare": Class.SESSION,
    "deallocate": Class.SESSION,
    "declare": Class.SESSION,
    "discard": Class.ADMIN,
    "show": Class.READ,
    "listen": Class.ADMIN,
    "notify": Class.WRITE,
    "values": Class.READ,
}
_SETTING = re.compile(
    r"(?:set|reset)\s+(?:local\s+|session\s+)?(\w+)(?:\s*(?:=|to)\s*(.*))?", re.IGNORECASE | re.DOTALL
)
_cache: dict[str, Facts] = {}


def facts(statement: Statement) -> Facts:
    """The same tuple for the same text, as the real one is."""
    if statement.unreadable:
        return (_unknown(statement.unreadable),)
    known = _cache.get(statement.text)
    if known is None:
        pieces = (piece.strip() for piece in statement.text.split(";"))
        known = _cache[statement.text] = tuple(_one(piece) for piece in pieces if piece)
    return known


def _one(text: str) -> Classification:
    word = text.split(None, 1)[0].lower()
    if word == "copy":
        operation = "copy_in" if re.search(r"\bfrom\b", text, re.IGNORECASE) else "copy_out"
        cls = Class.WRITE if operation == "copy_in" else Class.READ
        return Classification(operation, cls, (Effect(operation, cls),), text=text)
    if word not in _KNOWN:
        return _unknown("not known here", word if word in {"do", "call", "execute"} else "unknown")
    cls = _KNOWN[word]
    settings: tuple[Setting, ...] = ()
    found = _SETTING.match(text)
    if found:
        settings = (Setting(found[1].lower(), "session", found[2]),)
    functions = tuple(Named(name) for name in re.findall(r"\bapp\.(f\w*)\(", text))
    return Classification(word, cls, (Effect(word, cls),), functions, settings=settings, text=text)


def _unknown(reason: str, operation: str = "unknown") -> Classification:
    return Classification(operation, Class.UNKNOWN, (), complete=False, unknown_reason=reason)
