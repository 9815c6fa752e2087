"""What the definition of a table, an index or a sequence names besides: other tables, sequences, engines.

https://dev.mysql.com/doc/refman/8.0/en/create-table.html, https://mariadb.com/kb/en/create-table/. Columns
and their types are passed over; what is looked for begins with a word that means nothing else there.
"""

from typing import Final

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Action, Piece, Use
from gateway.classify.mysql.cursor import Cursor
from gateway.classify.mysql.lexer import Token, lowered
from gateway.classify.mysql.words import COLUMN_TYPES, ENGINES
from gateway.classify.operations import CLASS_OF
from gateway.classify.pieces import effect, piece
from gateway.classify.tokens import LITERALS, MARK, WORD
from gateway.model.classification import Class

OF_SERVER: Final = frozenset(
    ("server", "tablespace", "undo", "logfile", "spatial", "resource", "catalog", "instance", "library")
)
_USERS: Final = frozenset(("user", "role"))
_QUERY: Final = frozenset(("select", "with", "values", "table"))
_ELSEWHERE: Final = frozenset(
    """
    connection directory union file_name srcdef table_type tabname dbname wrapper
    """.split()  # noqa: SIM905 - a list of words reads best as words
)


def used(schema: str, name: str, *operations: str, kind: str = "table", is_new: bool = False) -> Use:
    """What is done to something that a definition names."""
    actions = tuple(Action(operation, CLASS_OF[operation]) for operation in operations)
    return Use("", schema, name, actions, kind, is_new)


def beyond_databases(cursor: Cursor, operation: str, kind: str) -> Piece:
    """A definition of what lies in no database: a user's or a role's, or something of the server's."""
    if kind not in _USERS and kind not in OF_SERVER:
        raise DoubtError(Doubt.STATEMENT)
    cursor.rest()
    cls = Class.DCL if kind in _USERS else Class.ADMIN
    return piece(operation, effect(operation, kind, "", cls=cls))


def query_at(cursor: Cursor) -> int:
    """Where the query begins that fills the table, outside of brackets or right behind one."""
    depth = 0
    tokens = cursor.tokens
    for at in range(cursor.at, len(tokens)):
        token = tokens[at]
        if token.kind is MARK:
            follows = tokens[at + 1] if at + 1 < len(tokens) else None
            if token.value == "(" and depth == 0 and follows is not None and _opens_query(follows):
                return at
            depth += (token.value == "(") - (token.value == ")")
        elif depth == 0 and token.kind is WORD and token.value in _QUERY and not _is_option(tokens, at):
            return at
    return len(tokens)


def _opens_query(token: Token) -> bool:
    return (token.kind is WORD and token.value in _QUERY) or (token.kind is MARK and token.value == "(")


def _is_option(tokens: list[Token], at: int) -> bool:
    """``WITH SYSTEM VERSIONING``."""
    return tokens[at].value == "with" and at + 1 < len(tokens) and tokens[at + 1].value == "system"


def named_in(tokens: list[Token]) -> tuple[tuple[Use, ...], str]:
    """What columns, constraints and options name besides: (tables, why it is not understood)."""
    uses: list[Use] = []
    reason = ""
    for at, token in enumerate(tokens):
        if token.kind is not WORD:
            continue
        if token.value in {"select", "insert", "update", "delete"} and not _is_action(tokens, at):
            raise DoubtError(Doubt.SYNTAX)
        sequence = _sequence(tokens, at)
        if sequence:
            uses.append(used(*Cursor(tokens, sequence).path(), "update", kind="sequence"))
        elif token.value == "references":
            uses.append(used(*Cursor(tokens, at + 1).path(), "select"))
        elif (token.value in _ELSEWHERE and _is_said(tokens, at)) or (
            token.value == "engine" and _leads_away(tokens, at)
        ):
            reason = Doubt.BODY.value
    return tuple(uses), reason


def _sequence(tokens: list[Token], at: int) -> int:
    """Where the sequence is named that a default takes its values from; 0 for none."""
    cursor = Cursor(tokens, at)
    if cursor.take_any(("nextval", "lastval", "setval")) and cursor.mark("("):
        return cursor.at
    if cursor.take_any(("next", "previous")) and cursor.take("value", "for"):
        return cursor.at
    return 0


def _is_action(tokens: list[Token], at: int) -> bool:
    """``ON DELETE CASCADE``, ``ON UPDATE CURRENT_TIMESTAMP``."""
    return at > 0 and tokens[at - 1].value == "on"


def _is_said(tokens: list[Token], at: int) -> bool:
    """An option with its value; a column may be called so as well."""
    after = tokens[at + 1] if at + 1 < len(tokens) else None
    return after is not None and (after.value == "=" or after.kind in LITERALS or after.value == "(")


def _leads_away(tokens: list[Token], at: int) -> bool:
    """``ENGINE = x`` where nobody knows that x keeps rows itself; no type of a column is called so."""
    cursor = Cursor(tokens, at + 1)
    is_option = cursor.mark("=")
    follows = cursor.peek()
    if not is_option and (follows.kind is MARK or (follows.kind is WORD and follows.value in COLUMN_TYPES)):
        return False
    return lowered(follows.value) not in ENGINES
