# ruff: noqa: SIM905 - lists of words read best as words
"""A statement's tokens, rewritten into the plain SQL that every parser reads alike.

The server's lexical rules are ours alone (``lexer``). What steers no fact, or what parsers read in ways of
their own, is taken out here and noted: casts and typed literals, operators beyond the common ones, special
call syntax, collations. Literals become ``'0'``, ``'1'``, …, so that nothing looks into them. Names are
always quoted, so that no foreign keyword takes effect, and the name of a call starts with ``CALL``, so that
no foreign function is put in its place. Precedence may change, facts do not.
"""

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Qualified
from gateway.classify.postgres import types
from gateway.classify.postgres.lexer import Token
from gateway.classify.postgres.words import (
    BARE,
    OPERANDS,
    RESERVED,
    TYPE_OR_FUNCTION,
    TYPE_WORDS,
    VALUES_WITHOUT_BRACKETS,
    XML_SYNTAX,
)
from gateway.classify.tokens import MARK, NAME, NAMES, OPERATOR, STRING, WORD

CALL = "\x01"  # the lexer refuses control characters in names, so nobody can write it
PLACE = "\x02"  # behind a name, where asked for: the number of its token comes next

_COMMON = frozenset(("=", "<>", "!=", "<", ">", "<=", ">=", "+", "-", "*"))
_ARGUMENT_WORDS: dict[str, frozenset[str]] = {
    "extract": frozenset(("from",)),
    "overlay": frozenset(("placing", "from", "for")),
    "position": frozenset(("in",)),
    "substring": frozenset(("from", "for", "similar", "escape")),
    "trim": frozenset(("from",)),
}
_NO_WORDS: frozenset[str] = frozenset()
_TRIMS = {"leading": "ltrim", "trailing": "rtrim", "both": "btrim"}
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

_ENDS_GROUPING = frozenset(
    """having window order limit offset union intersect except for fetch select""".split()
)
_JOINS_QUERIES = frozenset(("union", "intersect", "except"))
_VISIBLE = frozenset((WORD, MARK))
_GRAMMAR_CALLS = VALUES_WITHOUT_BRACKETS | {
    "coalesce",
    "greatest",
    "grouping",
    "least",
    "nullif",
    "row",
    "xmlconcat",
}
_AHEAD_OF_JOIN = frozenset(("cross", "full", "inner", "is", "left", "natural", "not", "outer", "right"))
_END = Token(MARK, "", 0, 0)


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


class _Frame:
    """An open bracket: which words in it stand for a comma, and whether it is a CAST's."""

    __slots__ = ("is_cast", "is_grouping", "words")

    def __init__(self, words: frozenset[str] = _NO_WORDS, *, is_cast: bool = False) -> None:
        self.words = words
        self.is_cast = is_cast
        self.is_grouping = False  # behind GROUP BY, where CUBE and ROLLUP are no calls


def reduce(tokens: list[Token], *, with_places: bool = False) -> Reduced:
    """Rewrite one statement's *tokens*; raises DoubtError for syntax that is not read here.

    *with_places* adds to each name that may be a relation's which token it was.
    """
    return _Reducer(tokens, with_places=with_places).run()


def quote(name: str) -> str:
    """*name* in double quotes."""
    return '"' + name.replace('"', '""') + '"'


class _Reducer:
    def __init__(self, tokens: list[Token], *, with_places: bool = False) -> None:
        self.tokens = tokens
        self.with_places = with_places
        self.at = 0
        self.out: list[str] = []
        self.done = Reduced()
        self.frames = [_Frame()]
        self.after_operand = False
        self.is_alias = False  # the name just written stands behind an operand
        self.next_frame = _Frame()

    def run(self) -> Reduced:
        size = len(self.tokens)
        while self.at < size:
            token = self.tokens[self.at]
            kind = token.kind
            if kind is MARK:
                self._mark(token)
            elif kind is STRING:
                self._string(token)
            elif kind is WORD:
                self._word(token)
            elif kind is NAME:
                self._name()
            elif kind is OPERATOR:
                self._operator("", token.value)
                self.at += 1
            else:
                self._emit(token.value, operand=True)
                self.at += 1
        self.done.text = " ".join(self.out)
        return self.done

    # -- looking around

    def _peek(self, ahead: int = 1) -> Token:
        at = self.at + ahead
        return self.tokens[at] if 0 <= at < len(self.tokens) else _END

    def _peek_word(self, ahead: int = 1) -> str:
        token = self._peek(ahead)
        return token.value if token.kind is WORD else ""

    def _peek_mark(self, ahead: int = 1) -> str:
        token = self._peek(ahead)
        return token.value if token.kind is MARK else ""

    def _emit(self, text: str, *, operand: bool) -> None:
        self.out.append(text)
        self.after_operand = operand
        self.is_alias = False

    # -- words

    def _word(self, token: Token) -> None:  # noqa: C901 - the order in which a word is tried
        word = token.value
        if self._is_label(word):
            self._name()
            return
        special = _SPECIAL.get(word)
        if special is not None and special(self):
            return
        if word in self.frames[-1].words:
            if self.out[-1] != "(":  # TRIM(FROM x)
                self._emit(",", operand=False)
            self.at += 1
        elif word in TYPE_WORDS and self._typed_literal():
            return
        elif word in TYPE_OR_FUNCTION and self._is_name_here(word):
            self._name()
        elif word in BARE and self._is_syntax(word):
            if word == "by":
                self.frames[-1].is_grouping = self._peek_word(-1) == "group"
            elif word in _ENDS_GROUPING:
                self.frames[-1].is_grouping = False
            self._emit(word.upper(), operand=word in OPERANDS)
            self.at += 1
        elif word in RESERVED and word not in BARE and self._peek_mark() != "(":
            raise DoubtError(Doubt.SYNTAX)
        else:
            self._name()

    def _is_name_here(self, word: str) -> bool:
        """``left(x, 1)`` calls; other such words with brackets or a literal behind them nobody writes."""
        is_call = self._peek_mark() == "("
        if word in {"left", "right"} and is_call:
            return True
        is_first = not self.after_operand and self._peek_word(-1) not in _AHEAD_OF_JOIN
        if is_first and (is_call or self._peek().kind is STRING):
            raise DoubtError(Doubt.SYNTAX)
        return False

    def _is_label(self, word: str) -> bool:
        """Behind a dot or AS any word is a name, and so is a word with a dot behind it."""
        if self._peek_mark(-1) == "." or (self._peek_mark() == "." and word not in RESERVED):
            return True
        if self._peek_word(-1) != "as" or self.frames[-1].is_cast:
            return False
        return not (
            word in {"materialized", "not"}
            and (self._peek_mark() == "(" or self._peek_word() == "materialized")
        )

    def _is_syntax(self, word: str) -> bool:  # noqa: C901 - one table after the other
        """Whether a word stands where the grammar wants it; elsewhere it is a name, and may be called."""
        if word in _JOINS_QUERIES and not self.after_operand:
            raise DoubtError(Doubt.SYNTAX)
        if word in OPERANDS and self._peek_mark() in {"(", "["}:
            raise DoubtError(Doubt.SYNTAX)
        if word in RESERVED:
            return True
        behind, follower = self._peek_word(-1), self._peek()
        ahead = follower.value if follower.kind in _VISIBLE else ""
        if ahead == "(" and word not in _MAY_OPEN:
            return False
        if word in _CHANGES:
            return (
                behind == "then" or ahead == _CHANGES[word] or (word == "update" and self._is_update(behind))
            )
        if word in _BEHIND_BRACKET:
            return self._peek_mark(-1) == ")"
        if word in _GROUPING:
            return self.frames[-1].is_grouping and ahead == "("
        if word == "set":
            return self.after_operand or behind == "update"
        if word == "values":
            return ahead == "(" or behind == "default"
        if word in _AFTER:
            return behind in _AFTER[word] and ahead in _BEFORE.get(word, (ahead,))
        if word in _BEFORE:
            return ahead in _BEFORE[word]
        if word in {"row", "rows"}:
            return self._is_row_syntax(word)
        return True

    def _is_update(self, behind: str) -> bool:
        return self.at == 0 or behind in {"do", "for", "key"} or self._peek_mark(-1) in {"(", ")"}

    def _is_row_syntax(self, word: str) -> bool:
        behind = self._peek_word(-1)
        if behind in {"current", "first", "next"}:
            return True
        follower = self._peek_word()
        if follower in {"only", "fetch", "between", "unbounded", "current"} or (
            word == "rows" and follower == "from"
        ):
            return True
        return self.after_operand and (follower in {"with", "limit", "for"} or self._peek() is _END)

    def _name(self) -> None:
        """A name of one or more parts: a call, a typed literal, or a table or column."""
        parts = [self.tokens[self.at].value]
        end = self.at + 1
        while (
            end + 1 < len(self.tokens)
            and self.tokens[end].value == "."
            and self.tokens[end].kind is MARK
            and self.tokens[end + 1].kind in NAMES
        ):
            parts.append(self.tokens[end + 1].value)
            end += 2
        follower = self.tokens[end] if end < len(self.tokens) else _END
        if follower.kind is STRING and not self.after_operand and self._typed_literal():
            return
        is_call = follower.kind is MARK and follower.value == "("
        if is_call and len(parts) == 1 and parts[0] in _GRAMMAR_CALLS and self._peek(0).kind is NAME:
            raise DoubtError(Doubt.SYNTAX)  # in quotes it is somebody's function, and nobody names one so
        self.done.names.update(parts)
        is_alias = self.after_operand
        if self.with_places:
            parts = [f"{part}{PLACE}{self.at + 2 * number}" for number, part in enumerate(parts)]
        if is_call:
            parts[-1] = CALL + parts[-1]
        self._emit(".".join(quote(part) for part in parts), operand=True)
        self.is_alias = is_alias
        self.at = end
        if follower.value == "." and follower.kind is MARK:
            star = self.tokens[end + 1] if end + 1 < len(self.tokens) else _END
            if star.value != "*":
                raise DoubtError(Doubt.SYNTAX)
            self.out[-1] += ".*"
            self.at = end + 2

    def _typed_literal(self) -> bool:
        """``date '…'``: note the type, leave the literal."""
        name, end = types.read(self.tokens, self.at)
        if name == types.NO_TYPE or end >= len(self.tokens) or self.tokens[end].kind is not STRING:
            return False
        self.done.casts[name] = None
        self.at = end
        self._string(self.tokens[end])
        if name == ("", "interval"):
            self.at = types.fields(self.tokens, self.at)
        return True

    def _string(self, token: Token) -> None:
        self._emit(f"'{len(self.done.strings)}'", operand=True)
        self.done.strings.append(token.value)
        self.at += 1

    # -- operators and marks

    def _operator(self, schema: str, sign: str) -> None:
        if sign == "*" and not self.after_operand:
            self._emit("*", operand=True)  # SELECT *, count(*)
            return
        if sign == "=>":
            self._emit("=>", operand=False)
            return
        self.done.operators[schema, sign] = None
        if not self.after_operand:
            self._emit("-", operand=False)
        elif not schema and sign in _COMMON:
            self._emit(sign, operand=False)
        else:
            self._emit("=" if self._peek_word() in {"any", "all", "some"} else "||", operand=False)

    def _mark(self, token: Token) -> None:
        mark = token.value
        self.at += 1
        if mark == ",":
            self._emit(mark, operand=False)
            return
        if mark == "(" and self._definitions():
            return
        if mark == "(":
            inner = self.next_frame
            inner.is_grouping = self.frames[-1].is_grouping and self.out[-1] in {"CUBE", "ROLLUP", "SETS"}
            self.frames.append(inner)
            self.next_frame = _Frame()
            self._emit("(", operand=False)
        elif mark == ")":
            if len(self.frames) == 1:
                raise DoubtError(Doubt.SYNTAX)
            self.frames.pop()
            self._emit(")", operand=True)
        elif mark == "::":
            self._cast()
        elif mark == ":=":
            self._emit("=>", operand=False)
        elif mark == ".":
            self._field()
        elif mark == ";" or (mark == "[" and not self._may_subscript()):
            raise DoubtError(Doubt.SYNTAX)
        else:
            self._emit(mark, operand=mark == "]")

    def _may_subscript(self) -> bool:
        """``a[1]``, ``ARRAY[…]``, and brackets in brackets; elsewhere they are another dialect's quotes."""
        return self.after_operand or self._peek_word(-2) == "array" or self._peek_mark(-2) in {"[", ","}

    def _definitions(self) -> bool:
        """``AS t (a int, b text)``: the columns of a function's rows; the types are casts."""
        if "as" not in {self._peek_word(-2), self._peek_word(-3)} and not self.is_alias:
            return False
        names: list[str] = []
        casts: list[Qualified] = []
        at = self.at
        while True:
            name = self.tokens[at] if at < len(self.tokens) else _END
            if name.kind not in NAMES or (name.kind is WORD and name.value in RESERVED):
                return False
            cast, at = types.read(self.tokens, at + 1)
            follower = self.tokens[at].value if at < len(self.tokens) else ""
            if cast == types.NO_TYPE or follower not in {",", ")"}:
                return False
            names.append(name.value)
            casts.append(cast)
            at += 1
            if follower == ")":
                break
        self.at = at
        self.done.names.update(names)
        self.done.casts.update(dict.fromkeys(casts))
        if self.out[-1] == "AS":
            self.out[-1] = f"AS {quote(CALL)}"  # an alias that nobody can refer to
        self._emit("( " + " , ".join(quote(name) for name in names) + " )", operand=True)
        return True

    def _field(self) -> None:
        """A dot behind a bracket: ``(a).b``, ``(a).*``, ``a[1].b``."""
        token = self._peek(0)
        if self.out[-1:] not in ([")"], ["]"]):
            raise DoubtError(Doubt.SYNTAX)
        if token.value == "*" and token.kind is OPERATOR:
            self._emit(". *", operand=True)
            self.at += 1
        elif token.kind in NAMES and self._peek_mark() != "(":
            self.done.names.add(token.value)
            self._emit("." + quote(token.value), operand=True)
            self.at += 1
        else:
            raise DoubtError(Doubt.SYNTAX)

    def _cast(self) -> None:
        name, self.at = types.read(self.tokens, self.at)
        if name == types.NO_TYPE:
            raise DoubtError(Doubt.SYNTAX)
        self.done.casts[name] = None
        self.after_operand = True

    # -- words with a grammar of their own; each says whether it took the word

    def take_call_syntax(self) -> bool:
        if self._peek_mark() != "(":
            return False
        word = self.tokens[self.at].value
        name = word
        self.at += 1
        self.next_frame = _Frame(_ARGUMENT_WORDS[word])
        if word == "trim":
            name = _TRIMS.get(self._peek_word(), "btrim")
        self._emit(quote(CALL + name), operand=False)
        self._mark(self._peek(0))
        if word == "trim" and self._peek_word(0) in _TRIMS:
            self.at += 1
        elif word == "extract" and self._peek_word() == "from":
            self._emit("''", operand=True)
            self.done.strings.append("")
            self.out[-1] = f"'{len(self.done.strings) - 1}'"
            self.at += 1
        return True

    def take_cast(self) -> bool:
        if self._peek_mark() != "(":
            return False
        self.at += 1
        self.next_frame = _Frame(is_cast=True)
        self._mark(self._peek(0))
        return True

    def take_as(self) -> bool:
        if not self.frames[-1].is_cast:
            return False
        self.at += 1
        self._cast()
        return True

    def take_value(self) -> bool:
        word = self.tokens[self.at].value
        self._emit(quote(CALL + word), operand=True)
        if self._peek_mark() != "(":
            self._emit("( )", operand=True)
        self.at += 1
        return True

    def take_row(self) -> bool:
        if self._peek_mark() != "(":
            return False
        self._emit(quote(CALL + "row"), operand=False)
        self.at += 1
        return True

    def take_table(self) -> bool:
        """``TABLE t`` is a query; behind INTO the word says nothing."""
        if self._peek_word(-1) not in {"into", "temp", "temporary", "unlogged"}:
            self._emit("SELECT * FROM", operand=False)
        self.at += 1
        return True

    def take_at(self) -> bool:
        if not (self.after_operand and self._peek_word() == "time" and self._peek_word(2) == "zone"):
            return False
        self.done.calls["", "timezone"] = None
        self._emit("||", operand=False)
        self.at += 3
        return True

    def take_overlaps(self) -> bool:
        self.done.calls["", "overlaps"] = None
        self._emit("=", operand=False)
        self.at += 1
        return True

    def take_tablesample(self) -> bool:
        method = self._peek_word()
        if method not in {"system", "bernoulli"}:
            raise DoubtError(Doubt.SYNTAX)
        self._emit("TABLESAMPLE " + method.upper(), operand=False)
        self.at += 2
        return True

    def take_collate(self) -> bool:
        self.at += 1
        name, end = types.read(self.tokens, self.at)
        if name == types.NO_TYPE:
            raise DoubtError(Doubt.SYNTAX)
        self.at = end
        return True

    def take_operator(self) -> bool:
        """``OPERATOR(schema.@@)``."""
        if self._peek_mark() != "(":
            return False
        at, schema = self.at + 2, ""
        while at + 1 < len(self.tokens) and self.tokens[at].kind in NAMES:
            schema, at = self.tokens[at].value, at + 2
        if (
            at + 1 >= len(self.tokens)
            or self.tokens[at].kind is not OPERATOR
            or self.tokens[at + 1].value != ")"
        ):
            raise DoubtError(Doubt.SYNTAX)
        self.at = at + 1
        self._operator(schema, self.tokens[at].value)
        self.at = at + 2
        return True

    def take_using(self) -> bool:
        """``ORDER BY x USING <``: an operator, not a join."""
        if self._peek().kind is OPERATOR:
            self.done.operators["", self._peek().value] = None
            self.at += 2
            return True
        return False

    def take_escape(self) -> bool:
        """Behind LIKE: one more text, as far as facts go."""
        if not self.after_operand or "escape" in self.frames[-1].words:
            return False
        self._emit("||", operand=False)
        self.at += 1
        return True

    def take_quantifier(self) -> bool:
        """``<> ALL (…)``: which of them it is, no fact depends on."""
        if self._peek_mark() != "(" or self._peek(-1).kind is not OPERATOR:
            return False
        self._emit("ANY", operand=False)
        self.at += 1
        return True

    def take_null_test(self) -> bool:
        self._emit("IS NULL", operand=True)
        self.at += 1
        return True

    def take_unknown(self) -> bool:
        if self._peek_word(-1) in {"is", "not"}:
            self._emit("NULL", operand=True)
            self.at += 1
            return True
        return False

    def take_symmetric(self) -> bool:
        if self._peek_word(-1) != "between":
            return False
        self.at += 1
        return True

    def take_variadic(self) -> bool:
        self.at += 1
        return True

    def take_current(self) -> bool:
        """``WHERE CURRENT OF c``: which row, another statement said."""
        if self._peek_word() != "of":
            return False
        self._emit("TRUE", operand=True)
        self.at += 3
        return True

    def take_overriding(self) -> bool:
        if self._peek_word(2) != "value":
            return False
        self.at += 3
        return True

    def take_xml(self) -> bool:
        if self._peek_mark() == "(":
            raise DoubtError(Doubt.SYNTAX)
        return False


_SPECIAL = {
    **dict.fromkeys(_ARGUMENT_WORDS, _Reducer.take_call_syntax),
    **dict.fromkeys(VALUES_WITHOUT_BRACKETS, _Reducer.take_value),
    **dict.fromkeys(XML_SYNTAX, _Reducer.take_xml),
    "all": _Reducer.take_quantifier,
    "as": _Reducer.take_as,
    "asymmetric": _Reducer.take_symmetric,
    "at": _Reducer.take_at,
    "cast": _Reducer.take_cast,
    "collate": _Reducer.take_collate,
    "current": _Reducer.take_current,
    "escape": _Reducer.take_escape,
    "isnull": _Reducer.take_null_test,
    "notnull": _Reducer.take_null_test,
    "some": _Reducer.take_quantifier,
    "operator": _Reducer.take_operator,
    "overlaps": _Reducer.take_overlaps,
    "overriding": _Reducer.take_overriding,
    "row": _Reducer.take_row,
    "symmetric": _Reducer.take_symmetric,
    "table": _Reducer.take_table,
    "tablesample": _Reducer.take_tablesample,
    "unknown": _Reducer.take_unknown,
    "using": _Reducer.take_using,
    "variadic": _Reducer.take_variadic,
}
