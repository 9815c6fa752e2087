"""Operands: literals, columns, calls, and the words of syntax that stand in their place."""

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.mysql.calls import Calls
from gateway.classify.mysql.lexer import lowered
from gateway.classify.mysql.scope import Scope
from gateway.classify.mysql.words import (
    CALLED_THOUGH_RESERVED,
    CONSTANTS,
    HIDING_INTRODUCERS,
    INTRODUCERS,
    NEVER_NAMES,
    NO_BLANK,
    UNITS,
)
from gateway.classify.tokens import (
    LITERALS,
    MARK,
    NAME,
    NUMBER,
    OPERATOR,
    PARAMETER,
    STRING,
    SYSTEM,
    VARIABLE,
    WORD,
)
from gateway.model.classification import Setting

_PREFIXES = frozenset("-+~!")
_LITERAL_TYPES = frozenset(("date", "time", "timestamp"))


class Operands(Calls):
    """Reads what stands on either side of an operator."""

    def _operand(self, scope: Scope) -> None:  # noqa: C901, PLR0912 - one branch for each kind of operand
        cursor = self.cursor
        while True:
            token = cursor.peek()
            if token.kind is OPERATOR and token.value in _PREFIXES:
                cursor.next()
                if token.value in "-+":
                    self.operators["", token.value] = None
            elif not (token.kind is WORD and token.value in {"not", "binary"}):
                break
            else:
                cursor.next()
        kind = token.kind
        if kind is STRING:
            while cursor.peek().kind is STRING:
                cursor.next()
        elif kind is NUMBER or kind is PARAMETER:
            cursor.next()
        elif kind is VARIABLE:
            self._variable()
        elif kind is SYSTEM:
            self.effect("show", "setting", cursor.next().value.rpartition(".")[2])
        elif kind is NAME:
            self._named(scope)
        elif kind is WORD:
            self._word(token.value, scope)
        elif kind is MARK and token.value == "(":
            self.brackets(scope)
        elif kind is MARK and token.value == "{":
            cursor.next()
            cursor.label()
            self.expression(scope)
            cursor.expect_mark("}")
        else:
            raise DoubtError(Doubt.SYNTAX)

    def _variable(self) -> None:
        name = self.cursor.next().value
        if self.cursor.is_mark(":="):
            self.settings[Setting(f"@{name}", "user", None)] = None

    def _word(self, word: str, scope: Scope) -> None:  # noqa: C901, PLR0912 - one branch for each word of syntax
        cursor = self.cursor
        follows = cursor.peek(1)
        opens = follows.kind is MARK and follows.value == "("
        if word in {"case", "interval"} and not (word == "interval" and opens):
            cursor.next()
            if word == "case":
                self._case(scope)
            else:
                self.expression(scope)
                self._unit()
        elif word == "interval":
            cursor.next()
            self.brackets(scope)
            while self._operator(scope):  # INTERVAL (a) + b DAY
                self._operand(scope)
            cursor.take_any(UNITS)
        elif word in {"exists", "any", "all", "some", "row"} and opens:
            cursor.next()
            self.brackets(scope)
        elif word == "match" and opens:
            self._match(scope)
        elif word in {"next", "previous"} and cursor.word(1) == "value" and cursor.word(2) == "for":
            cursor.at += 3
            self._sequence("update" if word == "next" else "select")
        elif word in {"default", "values", "value"} and (opens or word == "default"):
            cursor.next()
            if cursor.mark("("):
                self._column(scope)
                cursor.expect_mark(")")
        elif word in HIDING_INTRODUCERS and follows.kind in LITERALS:
            raise DoubtError(Doubt.CHARACTER)
        elif (word in INTRODUCERS and follows.kind in LITERALS) or (
            word in _LITERAL_TYPES and follows.kind is STRING
        ):
            cursor.at += 2
        elif word in CALLED_THOUGH_RESERVED and opens:
            cursor.next()
            self._call("", word, scope)
        elif word in CONSTANTS:
            cursor.next()
        else:
            self._named(scope)

    def _case(self, scope: Scope) -> None:
        cursor = self.cursor
        if cursor.word() != "when":
            self.expression(scope)
        while cursor.take("when"):
            self.expression(scope)
            cursor.expect("then")
            self.expression(scope)
        if cursor.take("else"):
            self.expression(scope)
        cursor.expect("end")

    def _match(self, scope: Scope) -> None:
        cursor = self.cursor
        cursor.next()
        self.brackets(scope)
        cursor.expect("against")
        cursor.expect_mark("(")
        self._operand(scope)
        while self.cursor.peek().kind is OPERATOR and self._operator(scope):
            self._operand(scope)
        while cursor.take_any(("in", "boolean", "natural", "language", "mode", "with", "query", "expansion")):
            pass
        cursor.expect_mark(")")

    def _column(self, scope: Scope) -> None:
        parts = self._path()
        self.refer(scope, *parts)

    def _path(self) -> tuple[str, str, str]:
        """``column``, ``table.column`` or ``schema.table.column``."""
        cursor = self.cursor
        parts = [cursor.name()]
        while cursor.mark("."):
            parts.append(cursor.label())
        if len(parts) > 3:
            raise DoubtError(Doubt.SYNTAX)
        schema, table, name = ["", "", *parts][-3:]
        return schema, table, name

    def _named(self, scope: Scope) -> None:
        """A column, or a call."""
        cursor = self.cursor
        token = cursor.peek()
        if cursor.is_mark("(", 1):
            if token.kind is WORD and token.value in NO_BLANK and cursor.peek(1).start != token.end:
                raise DoubtError(Doubt.SYNTAX)  # a stored function of that name, or none
            cursor.at += 1
            if token.kind is WORD and token.value in NEVER_NAMES:
                raise DoubtError(Doubt.SYNTAX)
            # A quoted name is never syntax, and never one of the functions that the lexer knows.
            self._call("", lowered(token.raw), scope, is_quoted=token.kind is NAME)
            return
        schema, table, name = self._path()
        if cursor.is_mark("("):
            if schema:
                raise DoubtError(Doubt.SYNTAX)
            self._call(table, lowered(name), scope)
            return
        self.refer(scope, schema, table, name)
