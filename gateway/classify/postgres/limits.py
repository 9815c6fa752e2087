"""What a statement may cost before anything parses it (counts over tokens, no recursion).

sqlglot doubles its work for each level of ``ARRAY[`` and of a type's name with a bracket (22 levels take a
minute) and for each JOIN whose ON has not come yet (14 take a tenth of a second, 30 a day), and recurses for
brackets, CASE and unary operators. All of that is counted here first.
"""

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.postgres.lexer import Token
from gateway.classify.postgres.words import TYPE_WORDS
from gateway.classify.tokens import MARK, OPERATOR, WORD

MAX_TEXT = 1 << 20
MAX_TOKENS = 50_000
MAX_DEPTH = 64
MAX_TYPE_DEPTH = 6
MAX_UNARY = 32
MAX_OPEN_JOINS = 4  # JOIN … JOIN … ON … ON …: brackets say the same and cost nothing
MAX_CHAIN = 1_000  # operators between two commas or brackets: the depth of a left-deep tree

_UNARY_WORDS = frozenset(("not",))
_CHAIN_WORDS = frozenset(("and", "or", "join", "union", "intersect", "except", "when", "is", "like"))
_JOIN_WORDS = frozenset(
    ("cross", "full", "inner", "join", "left", "natural", "on", "outer", "right", "using")
)
_DOUBLING = TYPE_WORDS | {"array"}


def check(tokens: list[Token]) -> None:  # noqa: C901 - one loop over many tokens, counting
    """Raise DoubtError when *tokens* could cost more than a parser should spend."""
    if len(tokens) > MAX_TOKENS:
        raise DoubtError(Doubt.TOO_MANY_TOKENS)
    brackets: list[tuple[bool, int]] = []
    type_depth = unary = chain = cases = 0
    previous = ""
    for kind, value, _, _ in tokens:
        if kind is MARK:
            unary = 0
            if value in "([":
                is_type = value == "[" or previous in _DOUBLING  # the server has six dimensions
                brackets.append((is_type, chain))
                type_depth += is_type
                chain = 0
                if len(brackets) > MAX_DEPTH or type_depth > MAX_TYPE_DEPTH:
                    raise DoubtError(Doubt.TOO_DEEP)
            elif value in ")]":
                if brackets:
                    was_type, chain = brackets.pop()
                    type_depth -= was_type
            elif value in ",;":
                chain = 0
        elif kind is OPERATOR or (kind is WORD and value in _UNARY_WORDS):
            unary += 1
            chain += 1
        else:
            unary = 0
            if kind is WORD:
                chain += value in _CHAIN_WORDS
                cases += (value == "case") - (value == "end")
        if unary > MAX_UNARY or chain > MAX_CHAIN or cases > MAX_DEPTH:
            raise DoubtError(Doubt.TOO_DEEP)
        previous = value if kind is WORD else ""
    _check_joins([token for token in tokens if token.kind is MARK or token.value in _JOIN_WORDS])


def _check_joins(tokens: list[Token]) -> None:
    """No more than a few joins may wait for their condition at once, over all open brackets."""
    waiting = [0]
    total = 0
    words = ("", "")
    for at, (kind, value, _, _) in enumerate(tokens):
        if kind is MARK:
            if value == "(":
                waiting.append(0)
            elif value == ")" and len(waiting) > 1:
                total -= waiting.pop()
            words = ("", "")
            continue
        is_alone = "natural" in words or words[1] == "cross"
        opens = tokens[at + 1].value == "(" if at + 1 < len(tokens) else False
        if value == "join" and not is_alone:
            waiting[-1] += 1
            total += 1
            if total > MAX_OPEN_JOINS:
                raise DoubtError(Doubt.TOO_DEEP)
        elif waiting[-1] and (value == "on" or (value == "using" and opens)):
            waiting[-1] -= 1
            total -= 1
        words = (words[1], value) if value not in {"join", "on", "using"} else ("", "")
