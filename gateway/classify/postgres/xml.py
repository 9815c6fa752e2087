"""The functions of SQL/XML, which have a grammar of their own, written as calls of what they are given.

https://www.postgresql.org/docs/15/functions-xml.html. Each expression in them is read as any other one is;
names of elements and attributes are words of the result and name nothing. What stands at PASSING has no comma
behind it: it is understood where it is a plain operand, or in brackets.
"""

from collections.abc import Callable
from typing import Final

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.postgres.inside import Inside
from gateway.classify.postgres.reduced import CALL, State, quote, with_columns
from gateway.classify.tokens import MARK, OPERATOR

_KINDS: Final = frozenset(("document", "content"))
_ALONE: Final = frozenset(("yes", "no"))
_ENDS_OPTION: Final = frozenset(("default", "not", "null", "path"))


def take(state: State) -> bool:
    """One of ``XML_SYNTAX``; without a bracket behind it, it is a name."""
    if state.peek_mark() != "(":
        return False
    word = state.peek_word(0)
    reader = _READERS.get(word)
    if reader is None:
        raise DoubtError(Doubt.SYNTAX)
    inside = Inside(state.tokens, state.at + 2)
    reader(inside)
    schema = quote("pg_catalog") + "." if word == "xmlexists" else ""
    name = with_columns(quote(word), inside.columns) if inside.columns else quote(word)
    state.emit(f'{schema}"{CALL}{name[1:]}', operand=False)
    state.emit("(", operand=False)
    for number, (start, end) in enumerate(inside.parts):
        if number:
            state.emit(",", operand=False)
        state.at = start
        state.part(end)
    state.emit(")", operand=True)
    state.done.casts.update(dict.fromkeys(inside.casts))
    state.at = inside.end + 1
    return True


def _never(_inside: Inside, _start: int) -> bool:
    return False


def _ahead_of_as(inside: Inside, _start: int) -> bool:
    return inside.word() == "as"


def _labelled(inside: Inside) -> None:
    """``a, b AS c, …``."""
    while True:
        inside.until(_ahead_of_as)
        if inside.take("as"):
            inside.label()
        if not inside.comma():
            break


def _list(inside: Inside) -> None:
    while True:
        inside.until(_never)
        if not inside.comma():
            break


def _within(inside: Inside, read: Callable[[Inside], None]) -> None:
    """Brackets in here that have a grammar of their own, too."""
    if inside.at >= inside.end or inside.tokens[inside.at].value != "(":
        raise DoubtError(Doubt.SYNTAX)
    inner = Inside(inside.tokens, inside.at + 1)
    read(inner)
    inner.done()
    inside.parts += inner.parts
    inside.at = inner.end + 1


def _element(inside: Inside) -> None:
    inside.expect("name")
    inside.label()
    if inside.comma():
        if inside.word() == "xmlattributes":
            inside.at += 1
            _within(inside, _labelled)
            if not inside.comma():
                inside.done()
                return
        _list(inside)
    inside.done()


def _instruction(inside: Inside) -> None:
    inside.expect("name")
    inside.label()
    if inside.comma():
        inside.until(_never)
    inside.done()


def _forest(inside: Inside) -> None:
    _labelled(inside)
    inside.done()


def _root(inside: Inside) -> None:
    inside.until(_never)
    if not inside.comma():
        raise DoubtError(Doubt.SYNTAX)
    inside.expect("version")
    if not inside.take("no", "value"):
        inside.until(_never)
    if inside.comma():
        inside.expect("standalone")
        if not inside.take("no", "value"):
            inside.at += inside.word() in _ALONE
    inside.done()


def _kind(inside: Inside) -> None:
    if inside.word() not in _KINDS:
        raise DoubtError(Doubt.SYNTAX)
    inside.at += 1


def _parse(inside: Inside) -> None:
    _kind(inside)
    inside.until(lambda here, _: here.word() in {"preserve", "strip"} and here.word(1) == "whitespace")
    if inside.word(1) == "whitespace":
        inside.at += 2
    inside.done()


def _serialize(inside: Inside) -> None:
    _kind(inside)
    inside.until(_ahead_of_as)
    inside.expect("as")
    inside.type()
    inside.done()


def _passing(inside: Inside) -> None:
    """``path PASSING BY REF document BY REF``."""
    inside.operand()
    inside.expect("passing")
    for _ in range(2):
        if not inside.take("by", "ref"):
            inside.take("by", "value")
        if _ == 0:
            inside.operand()


def _exists(inside: Inside) -> None:
    _passing(inside)
    inside.done()


def _table(inside: Inside) -> None:
    if inside.word() == "xmlnamespaces":
        inside.at += 1
        _within(inside, _namespaces)
        if not inside.comma():
            raise DoubtError(Doubt.SYNTAX)
    _passing(inside)
    inside.expect("columns")
    while True:
        _column(inside)
        if not inside.comma():
            break
    inside.done()


def _namespaces(inside: Inside) -> None:
    while True:
        if inside.take("default"):
            inside.until(_never)
        else:
            inside.until(_ahead_of_as)
            inside.expect("as")
            inside.label()
        if not inside.comma():
            break


def _column(inside: Inside) -> None:
    """``a int PATH 'x' DEFAULT y NOT NULL``, ``n FOR ORDINALITY``."""
    inside.columns.append(inside.label())
    if inside.take("for", "ordinality"):
        return
    inside.type()
    while inside.at < inside.end:
        if inside.take("path") or inside.take("default"):
            inside.until(_ahead_of_option)
        elif not inside.take("not", "null") and not inside.take("null"):
            return


def _ahead_of_option(inside: Inside, start: int) -> bool:
    """An option begins where an operand has ended: behind an operator the word is a column."""
    behind = inside.tokens[inside.at - 1]
    if inside.at == start or behind.kind is OPERATOR or (behind.kind is MARK and behind.value not in ")]"):
        return False
    return inside.word() in _ENDS_OPTION


_READERS: Final[dict[str, Callable[[Inside], None]]] = {
    "xmlelement": _element,
    "xmlexists": _exists,
    "xmlforest": _forest,
    "xmlparse": _parse,
    "xmlpi": _instruction,
    "xmlroot": _root,
    "xmlserialize": _serialize,
    "xmltable": _table,
}
