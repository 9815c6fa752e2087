# ruff: noqa: SIM905 - lists of words read best as words
"""Whether a word is syntax where it stands, or a name."""

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.postgres.reduced import END, State
from gateway.classify.postgres.words import OPERANDS, RESERVED
from gateway.classify.tokens import MARK, NUMBER, PARAMETER, STRING, WORD

_AFTER: dict[str, frozenset[str]] = {
    # word: it is syntax only behind one of these words; elsewhere it is a name
    "by": frozenset(("group", "order", "partition")),
    "conflict": frozenset(("on",)),
    "escape": frozenset(),
    "first": frozenset(("fetch", "nulls")),
    "key": frozenset(("no", "for")),
    "last": frozenset(("nulls",)),
    "local": frozenset(("into",)),
    "locked": frozenset(("skip",)),
    "materialized": frozenset(("as", "not")),
    "next": frozenset(("fetch",)),
    "nothing": frozenset(("do",)),
    "ordinality": frozenset(("with",)),
    "others": frozenset(("no",)),
    "recursive": frozenset(("with",)),
    "sets": frozenset(("grouping",)),
    "share": frozenset(("for", "key")),
    "temp": frozenset(("into", "local", "global")),
    "temporary": frozenset(("into", "local", "global")),
    "ties": frozenset(("with", "exclude")),
    "unlogged": frozenset(("into",)),
}
_BEFORE: dict[str, frozenset[str]] = {
    # word: it is syntax only ahead of one of these
    "current": frozenset(("row",)),
    "exists": frozenset("("),
    "groups": frozenset(("between", "unbounded", "current")),
    "grouping": frozenset(("sets",)),
    "matched": frozenset(("and", "then", "by")),
    "no": frozenset(("key", "others")),
    "nulls": frozenset(("first", "last")),
    "partition": frozenset(("by",)),
    "range": frozenset(("between", "unbounded", "current")),
    "skip": frozenset(("locked",)),
}
_CHANGES = {"delete": "from", "insert": "into", "merge": "into", "update": "only"}
_BEHIND_BRACKET = frozenset(("filter", "over", "repeatable", "within"))
_GROUPING = frozenset(("cube", "rollup"))
_MAY_OPEN = frozenset(
    """between by conflict cube exists filter first insert materialized next over repeatable rollup row set
    sets values""".split()
)
"""Words outside the reserved ones that a bracket may follow; any other with a bracket behind it is a call."""

_JOINS_QUERIES = frozenset(("union", "intersect", "except"))
_VISIBLE = frozenset((WORD, MARK))
_AHEAD_OF_JOIN = frozenset(("cross", "full", "inner", "is", "left", "natural", "not", "outer", "right"))


def is_name_here(state: State, word: str) -> bool:
    """``left(x, 1)`` calls; other such words with brackets or a literal behind them nobody writes."""
    is_call = state.peek_mark() == "("
    if word in {"left", "right"} and is_call:
        return True
    is_first = not state.after_operand and state.peek_word(-1) not in _AHEAD_OF_JOIN
    if is_first and (is_call or state.peek().kind is STRING):
        raise DoubtError(Doubt.SYNTAX)
    return False


def is_label(state: State, word: str) -> bool:
    """Behind a dot or AS any word is a name, and so is a word with a dot behind it."""
    if state.peek_mark(-1) == "." or (state.peek_mark() == "." and word not in RESERVED):
        return True
    if state.peek_word(-1) != "as" or state.frames[-1].is_cast:
        return False
    return not (
        word in {"materialized", "not"} and (state.peek_mark() == "(" or state.peek_word() == "materialized")
    )


def is_syntax(state: State, word: str) -> bool:  # noqa: C901 - one table after the other
    """Whether a word stands where the grammar wants it; elsewhere it is a name, and may be called."""
    if word in _JOINS_QUERIES and not state.after_operand:
        raise DoubtError(Doubt.SYNTAX)
    if word in OPERANDS and state.peek_mark() in {"(", "["}:
        raise DoubtError(Doubt.SYNTAX)
    if word in RESERVED:
        return True
    behind, follower = state.peek_word(-1), state.peek()
    ahead = follower.value if follower.kind in _VISIBLE else ""
    if ahead == "(" and word not in _MAY_OPEN:
        return False
    if word in _CHANGES:
        return behind == "then" or ahead == _CHANGES[word] or (word == "update" and _is_update(state, behind))
    if word in _BEHIND_BRACKET:
        return state.peek_mark(-1) == ")"
    if word in _GROUPING:
        return state.frames[-1].is_grouping and ahead == "("
    if word == "set":
        return state.after_operand or behind == "update"
    if word == "values":
        return ahead == "(" or behind == "default"
    if word in _AFTER:
        return behind in _AFTER[word] and ahead in _BEFORE.get(word, (ahead,))
    if word in _BEFORE:
        return ahead in _BEFORE[word] or (word in {"groups", "range"} and _is_frame(state))
    if word in {"row", "rows"}:
        return _is_row_syntax(state, word)
    return True


def _is_frame(state: State) -> bool:
    """``ROWS 1 PRECEDING``: nothing else has a number or an interval behind such a word."""
    if state.peek().kind not in {NUMBER, PARAMETER} and state.peek_word() != "interval":
        return False
    return "preceding" in {state.peek_word(ahead) for ahead in range(2, 7)}


def _is_update(state: State, behind: str) -> bool:
    return state.at == 0 or behind in {"do", "for", "key"} or state.peek_mark(-1) in {"(", ")"}


def _is_row_syntax(state: State, word: str) -> bool:
    behind = state.peek_word(-1)
    if behind in {"current", "first", "next"} or (word == "rows" and _is_frame(state)):
        return True
    follower = state.peek_word()
    if follower in {"only", "fetch", "between", "unbounded", "current"} or (
        word == "rows" and follower == "from"
    ):
        return True
    return state.after_operand and (follower in {"with", "limit", "for"} or state.peek() is END)
