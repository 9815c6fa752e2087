"""What a statement may cost before anything reads it (counts over tokens, no recursion)."""

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.mysql.lexer import Token
from gateway.classify.tokens import MARK, OPERATOR, WORD

MAX_TEXT = 1 << 20
MAX_TOKENS = 50_000
MAX_DEPTH = 64
MAX_CALL_DEPTH = 16  # brackets behind names: nobody nests calls so deep
MAX_UNARY = 32

_BLOCKS = {"case": 1, "end": -1}
_QUERY = frozenset(
    """
    in exists from join as values value any all some and or on where select union except intersect not
    using by when then
    """.split()  # noqa: SIM905 - a list of words reads best as words
)


def check(tokens: list[Token]) -> None:
    """Raise DoubtError when *tokens* could cost more than reading should."""
    if len(tokens) > MAX_TOKENS:
        raise DoubtError(Doubt.TOO_MANY_TOKENS)
    brackets: list[bool] = []
    calls = unary = cases = 0
    previous = ""
    for kind, value, _, _, _ in tokens:
        if kind is MARK:
            unary = 0
            if value == "(":
                is_call = bool(previous) and previous not in _QUERY
                brackets.append(is_call)
                calls += is_call
            elif value == ")" and brackets:
                calls -= brackets.pop()
            elif value == ";":
                brackets, calls, cases = [], 0, 0
        elif kind is OPERATOR or (kind is WORD and value in {"not", "binary"}):
            unary += 1
        else:
            unary = 0
            if kind is WORD:
                cases += _BLOCKS.get(value, 0)
        if len(brackets) > MAX_DEPTH or calls > MAX_CALL_DEPTH or unary > MAX_UNARY or cases > MAX_DEPTH:
            raise DoubtError(Doubt.TOO_DEEP)
        previous = value if kind is WORD else ""
