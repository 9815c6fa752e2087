"""Words with a grammar of their own; each function says whether it took the word."""

from collections.abc import Callable

from gateway.classify.postgres import from_words, phrases, xml
from gateway.classify.postgres.reduced import CALL, Frame, State, quote
from gateway.classify.postgres.words import VALUES_WITHOUT_BRACKETS, XML_SYNTAX
from gateway.classify.tokens import OPERATOR

_ARGUMENT_WORDS: dict[str, frozenset[str]] = {
    "extract": frozenset(("from",)),
    "overlay": frozenset(("placing", "from", "for")),
    "position": frozenset(("in",)),
    "substring": frozenset(("from", "for", "similar", "escape")),
    "trim": frozenset(("from",)),
}
_TRIMS = {"leading": "ltrim", "trailing": "rtrim", "both": "btrim"}


def _take_call_syntax(state: State) -> bool:
    if state.peek_mark() != "(":
        return False
    word = state.tokens[state.at].value
    name = word
    state.at += 1
    state.next_frame = Frame(_ARGUMENT_WORDS[word])
    if word == "trim":
        name = _TRIMS.get(state.peek_word(), "btrim")
    state.emit(quote(CALL + name), operand=False)
    phrases.take_mark(state, state.peek(0))
    if word == "trim" and state.peek_word(0) in _TRIMS:
        state.at += 1
    elif word == "extract" and state.peek_word() == "from":
        state.emit("''", operand=True)
        state.done.strings.append("")
        state.out[-1] = f"'{len(state.done.strings) - 1}'"
        state.at += 1
    return True


def _take_cast(state: State) -> bool:
    if state.peek_mark() != "(":
        return False
    state.at += 1
    state.next_frame = Frame(is_cast=True)
    phrases.take_mark(state, state.peek(0))
    return True


def _take_as(state: State) -> bool:
    if not state.frames[-1].is_cast:
        return from_words.take_join_alias(state)
    state.at += 1
    phrases.take_type(state)
    return True


def _take_value(state: State) -> bool:
    word = state.tokens[state.at].value
    state.emit(quote(CALL + word), operand=True)
    if state.peek_mark() != "(":
        state.emit("( )", operand=True)
    state.at += 1
    return True


def _take_row(state: State) -> bool:
    if state.peek_mark() != "(":
        return False
    state.emit(quote(CALL + "row"), operand=False)
    state.at += 1
    return True


def _take_table(state: State) -> bool:
    """``TABLE t`` is a query; behind INTO the word says nothing."""
    if state.peek_word(-1) not in {"into", "temp", "temporary", "unlogged"}:
        state.emit("SELECT * FROM", operand=False)
    state.at += 1
    return True


def _take_at(state: State) -> bool:
    if not (state.after_operand and state.peek_word() == "time" and state.peek_word(2) == "zone"):
        return False
    state.done.calls["", "timezone"] = None
    state.emit("||", operand=False)
    state.at += 3
    return True


def _take_overlaps(state: State) -> bool:
    state.done.calls["", "overlaps"] = None
    state.emit("=", operand=False)
    state.at += 1
    return True


def _take_collate(state: State) -> bool:
    state.at = phrases.collation(state.tokens, state.at)
    return True


def _take_operator(state: State) -> bool:
    """``OPERATOR(schema.@@)``."""
    if state.peek_mark() != "(":
        return False
    (schema, sign), end = phrases.operator(state.tokens, state.at)
    state.at = end - 1
    phrases.take_operator(state, schema, sign)
    state.at = end
    return True


def _take_escape(state: State) -> bool:
    """Behind LIKE: one more text, as far as facts go."""
    if not state.after_operand or "escape" in state.frames[-1].words:
        return False
    state.emit("||", operand=False)
    state.at += 1
    return True


def _take_quantifier(state: State) -> bool:
    """``<> ALL (…)``: which of them it is, no fact depends on."""
    if state.peek_mark() != "(" or state.peek(-1).kind is not OPERATOR:
        return False
    state.emit("ANY", operand=False)
    state.at += 1
    return True


def _take_null_test(state: State) -> bool:
    state.emit("IS NULL", operand=True)
    state.at += 1
    return True


def _take_normalized(state: State) -> bool:
    """``IS NOT NFC NORMALIZED``: the server's own call."""
    if state.peek_word(-1) not in {"is", "not"}:
        return False
    if state.peek_word(0) != "normalized" and state.peek_word() != "normalized":
        return False
    state.at += 1 if state.peek_word(0) == "normalized" else 2
    state.done.calls["pg_catalog", "is_normalized"] = None
    state.emit("NULL", operand=True)
    return True


def _take_unknown(state: State) -> bool:
    if state.peek_word(-1) in {"is", "not"}:
        state.emit("NULL", operand=True)
        state.at += 1
        return True
    return False


def _take_symmetric(state: State) -> bool:
    if state.peek_word(-1) != "between":
        return False
    state.at += 1
    return True


def _take_variadic(state: State) -> bool:
    state.at += 1
    return True


def _take_collation(state: State) -> bool:
    """``COLLATION FOR (x)``: the server's own call, whatever the path."""
    if state.peek_word() != "for" or state.peek_mark(2) != "(":
        return False
    state.emit(f"{quote('pg_catalog')}.{quote(CALL + 'pg_collation_for')}", operand=False)
    state.at += 2
    return True


def _take_current(state: State) -> bool:
    """``WHERE CURRENT OF c``: which row, another statement said."""
    if state.peek_word() != "of":
        return False
    state.emit("TRUE", operand=True)
    state.at += 3
    return True


def _take_overriding(state: State) -> bool:
    if state.peek_word(2) != "value":
        return False
    state.at += 3
    return True


SPECIAL: dict[str, Callable[[State], bool]] = {
    **dict.fromkeys(_ARGUMENT_WORDS, _take_call_syntax),
    **dict.fromkeys(VALUES_WITHOUT_BRACKETS, _take_value),
    **dict.fromkeys(XML_SYNTAX, xml.take),
    **from_words.SPECIAL,
    "all": _take_quantifier,
    "as": _take_as,
    "asymmetric": _take_symmetric,
    "at": _take_at,
    "cast": _take_cast,
    "collate": _take_collate,
    "collation": _take_collation,
    "current": _take_current,
    "escape": _take_escape,
    **dict.fromkeys(("nfc", "nfd", "nfkc", "nfkd", "normalized"), _take_normalized),
    "isnull": _take_null_test,
    "notnull": _take_null_test,
    "some": _take_quantifier,
    "operator": _take_operator,
    "overlaps": _take_overlaps,
    "overriding": _take_overriding,
    "row": _take_row,
    "symmetric": _take_symmetric,
    "table": _take_table,
    "unknown": _take_unknown,
    "variadic": _take_variadic,
}
