"""Words with a grammar of their own; each function says whether it took the word."""

from collections.abc import Callable

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.postgres import phrases, types
from gateway.classify.postgres.reduced import CALL, Frame, State, quote
from gateway.classify.postgres.words import VALUES_WITHOUT_BRACKETS, XML_SYNTAX
from gateway.classify.tokens import NAMES, OPERATOR

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
        return False
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


def _take_tablesample(state: State) -> bool:
    method = state.peek_word()
    if method not in {"system", "bernoulli"}:
        raise DoubtError(Doubt.SYNTAX)
    state.emit("TABLESAMPLE " + method.upper(), operand=False)
    state.at += 2
    return True


def _take_collate(state: State) -> bool:
    state.at += 1
    name, end = types.read(state.tokens, state.at)
    if name == types.NO_TYPE:
        raise DoubtError(Doubt.SYNTAX)
    state.at = end
    return True


def _take_operator(state: State) -> bool:
    """``OPERATOR(schema.@@)``."""
    if state.peek_mark() != "(":
        return False
    at, schema = state.at + 2, ""
    while at + 1 < len(state.tokens) and state.tokens[at].kind in NAMES:
        schema, at = state.tokens[at].value, at + 2
    if (
        at + 1 >= len(state.tokens)
        or state.tokens[at].kind is not OPERATOR
        or state.tokens[at + 1].value != ")"
    ):
        raise DoubtError(Doubt.SYNTAX)
    state.at = at + 1
    phrases.take_operator(state, schema, state.tokens[at].value)
    state.at = at + 2
    return True


def _take_using(state: State) -> bool:
    """``ORDER BY x USING <``: an operator, not a join."""
    if state.peek().kind is OPERATOR:
        state.done.operators["", state.peek().value] = None
        state.at += 2
        return True
    return False


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


def _take_xml(state: State) -> bool:
    if state.peek_mark() == "(":
        raise DoubtError(Doubt.SYNTAX)
    return False


SPECIAL: dict[str, Callable[[State], bool]] = {
    **dict.fromkeys(_ARGUMENT_WORDS, _take_call_syntax),
    **dict.fromkeys(VALUES_WITHOUT_BRACKETS, _take_value),
    **dict.fromkeys(XML_SYNTAX, _take_xml),
    "all": _take_quantifier,
    "as": _take_as,
    "asymmetric": _take_symmetric,
    "at": _take_at,
    "cast": _take_cast,
    "collate": _take_collate,
    "current": _take_current,
    "escape": _take_escape,
    "isnull": _take_null_test,
    "notnull": _take_null_test,
    "some": _take_quantifier,
    "operator": _take_operator,
    "overlaps": _take_overlaps,
    "overriding": _take_overriding,
    "row": _take_row,
    "symmetric": _take_symmetric,
    "table": _take_table,
    "tablesample": _take_tablesample,
    "unknown": _take_unknown,
    "using": _take_using,
    "variadic": _take_variadic,
}
