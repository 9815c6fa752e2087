"""A statement on its way into plain SQL: the place in its tokens, and what is written and noted so far."""

from collections.abc import Callable

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Qualified
from gateway.classify.postgres.lexer import Token
from gateway.classify.tokens import MARK, WORD

CALL = "\x01"  # the lexer refuses control characters in names, so nobody can write it
PLACE = "\x02"  # behind a name, where asked for: the number of its token comes next
MORE = "\x03"  # ahead of the names of columns that come with a name, whose last part is the name itself
END = Token(MARK, "", 0, 0)
_NO_WORDS: frozenset[str] = frozenset()


def quote(name: str) -> str:
    """*name* in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def with_columns(quoted: str, columns: list[str]) -> str:
    """A *quoted* name that brings *columns* along; what it brought before, it still brings."""
    return '"' + "".join(MORE + quote(column)[1:-1] for column in columns) + MORE + quoted[1:]


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
    """An open bracket: which words in it stand for a comma, whether it is a CAST's, where its text begins."""

    __slots__ = ("closing", "is_cast", "is_grouping", "start", "words")

    def __init__(self, words: frozenset[str] = _NO_WORDS, *, is_cast: bool = False) -> None:
        self.words = words
        self.is_cast = is_cast
        self.is_grouping = False  # behind GROUP BY, where CUBE and ROLLUP are no calls
        self.closing = ")"
        self.start = 0


class State:
    """Where the reading stands; ``out`` are the words of the plain text so far."""

    def __init__(
        self, tokens: list[Token], run: "Callable[[State, int], None]", *, with_places: bool = False
    ) -> None:
        self.tokens = tokens
        self._run = run
        self.with_places = with_places
        self.at = 0
        self.out: list[str] = []
        self.done = Reduced()
        self.frames = [Frame()]
        self.after_operand = False
        self.is_alias = False  # the name just written stands behind an operand
        self.next_frame = Frame()
        self.closed = 0  # where the text of the bracket begins that was closed last

    def part(self, end: int) -> None:
        """Write the tokens up to number *end*, which are a part by themselves, brackets and all."""
        frame = self.frames[-1]
        self._run(self, end)
        if self.at != end or self.frames[-1] is not frame:
            raise DoubtError(Doubt.SYNTAX)

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
