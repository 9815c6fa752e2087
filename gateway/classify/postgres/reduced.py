"""A statement on its way into plain SQL: the place in its tokens, and what is written and noted so far."""

from gateway.classify.facts import Qualified
from gateway.classify.postgres.lexer import Token
from gateway.classify.tokens import MARK, WORD

CALL = "\x01"  # the lexer refuses control characters in names, so nobody can write it
PLACE = "\x02"  # behind a name, where asked for: the number of its token comes next
END = Token(MARK, "", 0, 0)
_NO_WORDS: frozenset[str] = frozenset()


def quote(name: str) -> str:
    """*name* in double quotes."""
    return '"' + name.replace('"', '""') + '"'


class Reduced:
    """The plain text and what was taken out of it."""

    __slots__ = ("calls", "casts", "names", "operators", "strings", "text")

    def __init__(self) -> None:
        self.text = ""
        self.strings: list[str] = []
        self.operators: dict[Qualified, None] = {}
        self.casts: dict[Qualified, None] = {}
        self.calls: dict[Qualified, None] = {}
        self.names: set[str] = set()


class Frame:
    """An open bracket: which words in it stand for a comma, and whether it is a CAST's."""

    __slots__ = ("is_cast", "is_grouping", "words")

    def __init__(self, words: frozenset[str] = _NO_WORDS, *, is_cast: bool = False) -> None:
        self.words = words
        self.is_cast = is_cast
        self.is_grouping = False  # behind GROUP BY, where CUBE and ROLLUP are no calls


class State:
    """Where the reading stands; ``out`` are the words of the plain text so far."""

    def __init__(self, tokens: list[Token], *, with_places: bool = False) -> None:
        self.tokens = tokens
        self.with_places = with_places
        self.at = 0
        self.out: list[str] = []
        self.done = Reduced()
        self.frames = [Frame()]
        self.after_operand = False
        self.is_alias = False  # the name just written stands behind an operand
        self.next_frame = Frame()

    def peek(self, ahead: int = 1) -> Token:
        """The token *ahead* of this one, or behind it; an empty mark outside of the statement."""
        at = self.at + ahead
        return self.tokens[at] if 0 <= at < len(self.tokens) else END

    def peek_word(self, ahead: int = 1) -> str:
        """The unquoted word there, or nothing."""
        token = self.peek(ahead)
        return token.value if token.kind is WORD else ""

    def peek_mark(self, ahead: int = 1) -> str:
        """The mark there, or nothing."""
        token = self.peek(ahead)
        return token.value if token.kind is MARK else ""

    def emit(self, text: str, *, operand: bool) -> None:
        """Write *text*; *operand* says whether an operator may follow it."""
        self.out.append(text)
        self.after_operand = operand
        self.is_alias = False
