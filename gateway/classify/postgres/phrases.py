"""Names, literals, operators and brackets: what they become in plain SQL, and what is noted of them."""

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Qualified
from gateway.classify.postgres import types
from gateway.classify.postgres.lexer import Token
from gateway.classify.postgres.reduced import CALL, END, PLACE, Frame, State, quote
from gateway.classify.postgres.words import RESERVED, VALUES_WITHOUT_BRACKETS, XML_SYNTAX
from gateway.classify.tokens import MARK, NAME, NAMES, OPERATOR, STRING, WORD

_COMMON = frozenset(("=", "<>", "!=", "<", ">", "<=", ">=", "+", "-", "*"))
_GRAMMAR_CALLS = VALUES_WITHOUT_BRACKETS | {
    "coalesce",
    "greatest",
    "grouping",
    "least",
    "nullif",
    "row",
    "xmlconcat",
    *XML_SYNTAX,
}


def take_name(state: State) -> None:
    """A name of one or more parts: a call, a typed literal, or a table or column."""
    parts, end = _parts(state)
    follower = state.tokens[end] if end < len(state.tokens) else END
    if follower.kind is STRING and not state.after_operand and take_typed_literal(state):
        return
    is_call = follower.kind is MARK and follower.value == "("
    if is_call and len(parts) == 1 and parts[0] in _GRAMMAR_CALLS and state.peek(0).kind is NAME:
        raise DoubtError(Doubt.SYNTAX)  # in quotes it is somebody's function, and nobody names one so
    state.done.names.update(parts)
    is_alias = state.after_operand
    if state.with_places:
        parts = [f"{part}{PLACE}{state.at + 2 * number}" for number, part in enumerate(parts)]
    if is_call:
        parts[-1] = CALL + parts[-1]
    state.emit(".".join(quote(part) for part in parts), operand=True)
    state.is_alias = is_alias
    state.at = end
    if follower.value == "." and follower.kind is MARK:
        if state.peek().value != "*":
            raise DoubtError(Doubt.SYNTAX)
        state.out[-1] += ".*"
        state.at = end + 2


def _parts(state: State) -> tuple[list[str], int]:
    """The parts of the name that starts here, and the place behind it."""
    parts = [state.tokens[state.at].value]
    end = state.at + 1
    while (
        end + 1 < len(state.tokens)
        and state.tokens[end].value == "."
        and state.tokens[end].kind is MARK
        and state.tokens[end + 1].kind in NAMES
    ):
        parts.append(state.tokens[end + 1].value)
        end += 2
    return parts, end


def take_typed_literal(state: State) -> bool:
    """``date '…'``: note the type, leave the literal."""
    name, end = types.read(state.tokens, state.at)
    if name == types.NO_TYPE or end >= len(state.tokens) or state.tokens[end].kind is not STRING:
        return False
    state.done.casts[name] = None
    state.at = end
    take_string(state, state.tokens[end])
    if name == ("", "interval"):
        state.at = types.fields(state.tokens, state.at)
    return True


def take_string(state: State, token: Token) -> None:
    """A literal: its number stands for it."""
    state.emit(f"'{len(state.done.strings)}'", operand=True)
    state.done.strings.append(token.value)
    state.at += 1


def take_operator(state: State, schema: str, sign: str) -> None:
    """An operator: a common one stays; any other is noted, and one that all parsers know stands for it."""
    if sign == "*" and not state.after_operand:
        state.emit("*", operand=True)  # SELECT *, count(*)
        return
    if sign == "=>":
        state.emit("=>", operand=False)
        return
    state.done.operators[schema, sign] = None
    if not state.after_operand:
        state.emit("-", operand=False)
    elif not schema and sign in _COMMON:
        state.emit(sign, operand=False)
    else:
        state.emit("=" if state.peek_word() in {"any", "all", "some"} else "||", operand=False)


def operator(tokens: list[Token], at: int) -> tuple[Qualified, int]:
    """``OPERATOR(schema.@@)``, whose word is token *at*: the operator, and the place behind it."""
    at, schema = at + 2, ""
    while at + 1 < len(tokens) and tokens[at].kind in NAMES:
        schema, at = tokens[at].value, at + 2
    if at + 1 >= len(tokens) or tokens[at].kind is not OPERATOR or tokens[at + 1].value != ")":
        raise DoubtError(Doubt.SYNTAX)
    return (schema, tokens[at].value), at + 2


def take_mark(state: State, token: Token) -> None:
    """A bracket, a comma, a cast, or the dot of a field."""
    mark = token.value
    state.at += 1
    if mark == ",":
        state.emit(mark, operand=False)
        return
    if mark == "(" and _definitions(state):
        return
    if mark == "(":
        _open(state)
    elif mark == ")":
        if len(state.frames) == 1:
            raise DoubtError(Doubt.SYNTAX)
        frame = state.frames.pop()
        state.closed = frame.start
        state.emit(frame.closing, operand=True)
    elif mark == "::":
        take_type(state)
    elif mark == ":=":
        state.emit("=>", operand=False)
    elif mark == ".":
        _field(state)
    elif mark == ";" or (mark == "[" and not _may_subscript(state)):
        raise DoubtError(Doubt.SYNTAX)
    else:
        state.emit(mark, operand=mark == "]")


def _open(state: State) -> None:
    inner = state.next_frame
    inner.is_grouping = state.frames[-1].is_grouping and state.out[-1] in {"CUBE", "ROLLUP", "SETS"}
    inner.start = len(state.out)
    state.frames.append(inner)
    state.next_frame = Frame()
    state.emit("(" * len(inner.closing), operand=False)


def _may_subscript(state: State) -> bool:
    """``a[1]``, ``ARRAY[…]``, and brackets in brackets; elsewhere they are another dialect's quotes."""
    return state.after_operand or state.peek_word(-2) == "array" or state.peek_mark(-2) in {"[", ","}


def _definitions(state: State) -> bool:
    """``AS t (a int, b text)``: the columns of a function's rows; the types are casts."""
    if "as" not in {state.peek_word(-2), state.peek_word(-3)} and not state.is_alias:
        return False
    names: list[str] = []
    casts: list[Qualified] = []
    at = state.at
    while True:
        name = state.tokens[at] if at < len(state.tokens) else END
        if name.kind not in NAMES or (name.kind is WORD and name.value in RESERVED):
            return False
        cast, at = types.read(state.tokens, at + 1)
        at = collation(state.tokens, at)
        follower = state.tokens[at].value if at < len(state.tokens) else ""
        if cast == types.NO_TYPE or follower not in {",", ")"}:
            return False
        names.append(name.value)
        casts.append(cast)
        at += 1
        if follower == ")":
            break
    state.at = at
    state.done.names.update(names)
    state.done.casts.update(dict.fromkeys(casts))
    if state.out[-1] == "AS":
        state.out[-1] = f"AS {quote(CALL)}"  # an alias that nobody can refer to
    state.emit("( " + " , ".join(quote(name) for name in names) + " )", operand=True)
    return True


def collation(tokens: list[Token], at: int) -> int:
    """Past ``COLLATE name``, where there is one: it compares, and reads nothing."""
    if at >= len(tokens) or tokens[at].kind is not WORD or tokens[at].value != "collate":
        return at
    name, end = types.read(tokens, at + 1)
    if name == types.NO_TYPE:
        raise DoubtError(Doubt.SYNTAX)
    return end


def _field(state: State) -> None:
    """A dot behind a bracket: ``(a).b``, ``(a).*``, ``a[1].b``."""
    token = state.peek(0)
    if state.out[-1:] not in ([")"], ["]"]):
        raise DoubtError(Doubt.SYNTAX)
    if token.value == "*" and token.kind is OPERATOR:
        state.emit(". *", operand=True)
        state.at += 1
    elif token.kind in NAMES and state.peek_mark() != "(":
        state.done.names.add(token.value)
        state.emit("." + quote(token.value), operand=True)
        state.at += 1
    else:
        raise DoubtError(Doubt.SYNTAX)


def take_type(state: State) -> None:
    """What a value is cast to: noted, and not written."""
    name, state.at = types.read(state.tokens, state.at)
    if name == types.NO_TYPE:
        raise DoubtError(Doubt.SYNTAX)
    state.done.casts[name] = None
    state.after_operand = True
