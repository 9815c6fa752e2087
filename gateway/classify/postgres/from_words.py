"""Words of FROM and WITH with a grammar of their own; each function says whether it took the word."""

from collections.abc import Callable

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.postgres import phrases, types
from gateway.classify.postgres.reduced import MORE, State, quote, with_columns
from gateway.classify.tokens import NAMES, NUMBER, OPERATOR, STRING, WORD

_CONSTANT_WORDS = frozenset(("false", "null", "true"))


def _take_tablesample(state: State) -> bool:
    """``TABLESAMPLE SYSTEM (x) REPEATABLE (y)``: in brackets of their own x and y may be any expression."""
    method = state.peek_word()
    if method not in {"system", "bernoulli"}:
        raise DoubtError(Doubt.SYNTAX)
    state.emit("TABLESAMPLE " + method.upper(), operand=False)
    state.next_frame.closing = "))"
    state.at += 2
    return True


def _take_using(state: State) -> bool:
    """``ORDER BY x USING <``: an operator, not a join."""
    if state.peek().kind is OPERATOR:
        state.done.operators["", state.peek().value] = None
        state.at += 2
        return True
    if state.peek_word() == "operator" and state.peek_mark(2) == "(":
        found, state.at = phrases.operator(state.tokens, state.at + 1)
        state.done.operators[found] = None
        return True
    return False


def take_join_alias(state: State) -> bool:
    """``USING (a, b) AS j``: the name goes into the list, with a mark that no column has."""
    if state.peek_mark(-1) != ")" or state.peek().kind not in NAMES:
        return False
    at = state.at - 2
    while at > 2 and state.tokens[at].kind in NAMES and state.tokens[at - 1].value == ",":
        at -= 2
    behind = state.tokens[at - 1 : at]
    if at < 2 or state.tokens[at].kind not in NAMES or behind[0].value != "(":
        return False
    if state.tokens[at - 2].kind is not WORD or state.tokens[at - 2].value != "using":
        return False
    alias = state.peek().value
    state.done.names.add(alias)
    state.out[-1:] = [",", quote(MORE + alias), ")"]
    state.at += 2
    return True


def _take_only(state: State) -> bool:
    """``ONLY (t)`` is ``ONLY t``; behind ROWS the word is FETCH's."""
    if state.peek_mark() != "(" or state.peek_word(-1) in {"row", "rows"}:
        return False
    end = 2
    while state.peek(end).kind in NAMES and state.peek_mark(end + 1) == ".":
        end += 2
    if state.peek(end).kind not in NAMES or state.peek_mark(end + 1) != ")":
        raise DoubtError(Doubt.SYNTAX)
    state.emit("ONLY", operand=False)
    behind = state.at + end + 2
    state.at += 2
    state.part(behind - 1)
    state.at = behind
    return True


def _take_lateral(state: State) -> bool:
    """Functions see what stands in front of them with or without the word."""
    if state.peek_word() != "rows" or state.peek_word(2) != "from":
        return False
    state.at += 1
    return True


def _take_local(state: State) -> bool:
    """``INTO LOCAL TEMP t``: there is no other kind."""
    if state.peek_word(-1) != "into" or state.peek_word() not in {"temp", "temporary"}:
        return False
    state.at += 1
    return True


def _take_for(state: State) -> bool:
    """``FOR READ ONLY`` locks nothing."""
    if state.peek_word() != "read" or state.peek_word(2) != "only":
        return False
    state.at += 3
    return True


def _take_search(state: State) -> bool:
    """``SEARCH DEPTH FIRST BY a, b SET c`` behind a CTE: one more column."""
    if state.peek_mark(-1) != ")" or state.peek_word() not in {"breadth", "depth"}:
        return False
    if (state.peek_word(2), state.peek_word(3)) != ("first", "by"):
        return False
    at = _names(state, state.at + 4)
    if not _is_word(state, at, "set") or not _is_name(state, at + 1):
        return False
    added = [state.tokens[at + 1].value]
    state.at = at + 2
    if state.peek_word(0) == "cycle":
        more = _cycle(state)
        if not more:
            raise DoubtError(Doubt.SYNTAX)
        added += more
    _add_columns(state, added)
    return True


def _take_cycle(state: State) -> bool:
    """``CYCLE a, b SET c TO x DEFAULT y USING d`` behind a CTE: two more columns."""
    added = _cycle(state) if state.peek_mark(-1) == ")" else []
    if added:
        _add_columns(state, added)
    return bool(added)


def _cycle(state: State) -> list[str]:
    at = _names(state, state.at + 1)
    if not _is_word(state, at, "set") or not _is_name(state, at + 1):
        return []
    mark, at = state.tokens[at + 1].value, at + 2
    if _is_word(state, at, "to"):
        at = _constant(state, at + 1)
        if not _is_word(state, at, "default"):
            raise DoubtError(Doubt.SYNTAX)
        at = _constant(state, at + 1)
    if not _is_word(state, at, "using") or not _is_name(state, at + 1):
        return []
    state.at = at + 2
    return [mark, state.tokens[at + 1].value]


def _names(state: State, at: int) -> int:
    """Past ``a, b, c``: columns of the CTE, which what made it has read already."""
    while _is_name(state, at) and at + 1 < len(state.tokens) and state.tokens[at + 1].value == ",":
        at += 2
    return at + 1


def _is_name(state: State, at: int) -> bool:
    return at < len(state.tokens) and state.tokens[at].kind in NAMES


def _is_word(state: State, at: int, word: str) -> bool:
    return at < len(state.tokens) and state.tokens[at].kind is WORD and state.tokens[at].value == word


def _constant(state: State, at: int) -> int:
    token = state.peek(at - state.at)
    if token.kind in {STRING, NUMBER} or (token.kind is WORD and token.value in _CONSTANT_WORDS):
        return at + 1
    name, end = types.read(state.tokens, at)
    if name == types.NO_TYPE or state.peek(end - state.at).kind is not STRING:
        raise DoubtError(Doubt.SYNTAX)
    state.done.casts[name] = None
    return end + 1


def _add_columns(state: State, added: list[str]) -> None:
    """Mark the name of the CTE whose brackets have just been closed: ``name ( a , b ) AS (``."""
    at = state.closed - 1
    while at >= 0 and state.out[at] in {"MATERIALIZED", "NOT"}:
        at -= 1
    at -= 1  # AS
    if at > 0 and state.out[at] == ")":
        at = _opening(state.out, at) - 1
    if at < 0 or state.out[at + 1 : at + 2] not in (["AS"], ["("]) or not state.out[at].startswith('"'):
        raise DoubtError(Doubt.SYNTAX)
    state.out[at] = with_columns(state.out[at], added)


def _opening(out: list[str], at: int) -> int:
    while at > 0 and out[at] != "(":
        at -= 1
    return at


SPECIAL: dict[str, Callable[[State], bool]] = {
    "cycle": _take_cycle,
    "for": _take_for,
    "lateral": _take_lateral,
    "local": _take_local,
    "only": _take_only,
    "search": _take_search,
    "tablesample": _take_tablesample,
    "using": _take_using,
}
