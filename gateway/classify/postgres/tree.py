"""The statements that sqlglot reads: reduced to plain SQL first, walked afterwards."""

import logging
import re
import threading
from typing import Any

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import ParseError, TokenError

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Piece, Qualified
from gateway.classify.postgres.changes import Walk
from gateway.classify.postgres.lexer import Token
from gateway.classify.postgres.reduce import reduce
from gateway.classify.postgres.reduced import CALL, Reduced
from gateway.model.classification import Setting

OPERATIONS: dict[type[Any], str] = {
    exp.Delete: "delete",
    exp.Insert: "insert",
    exp.Merge: "merge",
    exp.Update: "update",
}
_SET_CONFIG = frozenset((("", "set_config"), ("pg_catalog", "set_config")))
_PLACE = re.compile(r"[0-9]+")


def _nothing(_record: logging.LogRecord) -> bool:
    return False


class _Tools(threading.local):
    """One tokenizer and one parser per thread: making them costs as much as a short statement."""

    def __init__(self) -> None:
        dialect = Postgres()
        self.tokenizer = dialect.tokenizer_class(dialect=dialect)
        self.parser = dialect.parser()
        # Its warnings quote the statement, and no log may hold what a client sent.
        logging.getLogger("sqlglot").addFilter(_nothing)


_tools = _Tools()


def parse_plain(text: str) -> exp.Expr:
    """The tree that sqlglot makes of one statement of plain SQL."""
    try:
        trees = _tools.parser.parse(_tools.tokenizer.tokenize(text), text)
    except (ParseError, TokenError) as error:
        raise DoubtError(Doubt.SYNTAX) from error
    except RecursionError as error:
        raise DoubtError(Doubt.RECURSION) from error
    except Exception as error:
        raise DoubtError(Doubt.SYNTAX) from error
    if len(trees) != 1 or trees[0] is None:
        raise DoubtError(Doubt.SYNTAX)
    return trees[0]


def read(tokens: list[Token]) -> Piece:
    """The facts of a query or a change; text, fingerprint and redaction are the caller's."""
    reduced = reduce(tokens)
    tree = parse_plain(reduced.text)
    walk = Walk()
    walk.calls.update(reduced.calls)
    walk.operators.update(reduced.operators)
    walk.statement(tree)
    if not reduced.names <= walk.names:
        raise DoubtError(Doubt.LOST)  # a name that stands in the text and not in the tree
    settings: tuple[Setting, ...] = ()
    trusted: frozenset[str] = frozenset()
    if not _SET_CONFIG.isdisjoint(walk.calls):
        settings, trusted = _set_config(tree, reduced)
    return piece(walk, OPERATIONS.get(type(tree), "select"), tuple(reduced.casts), settings, trusted)


def piece(
    walk: Walk,
    operation: str,
    casts: tuple[Qualified, ...] = (),
    settings: tuple[Setting, ...] = (),
    trusted: frozenset[str] = frozenset(),
    text: str = "",
    literal_free: str = "",
) -> Piece:
    """What *walk* collected; *text* is shown as it is."""
    return Piece(
        text=text,
        operation=operation,
        uses=tuple(relation.freeze() for relation in walk.relations),
        calls=tuple(walk.calls),
        empty_calls=tuple(walk.empty_calls),
        trusted=trusted,
        operators=tuple(walk.operators),
        casts=casts,
        attributes=tuple(walk.attributes),
        loose=tuple(walk.loose),
        settings=settings,
        fingerprint=literal_free,
        redacted=text,
    )


def _set_config(tree: exp.Expr, reduced: Reduced) -> tuple[tuple[Setting, ...], frozenset[str]]:
    """Settings from ``set_config('a', 'b', false)``; the call is trusted only where it surely runs, once.

    That is as an item of a select list of a query without anything else. In any other place the setting is
    listed where it is legible, and the call stays what it is: one that nobody allowed.
    """
    settings: list[Setting] = []
    is_sure = isinstance(tree, exp.Select) and all(
        not value for key, value in tree.args.items() if key != "expressions"
    )
    trusted = is_sure
    items = {id(_unwrapped(item)) for item in tree.expressions} if is_sure else set()
    for call in tree.find_all(exp.Anonymous):
        if str(call.this.this) != CALL + "set_config":
            continue
        place = call.parent if isinstance(call.parent, exp.Dot) else call
        setting = _setting(call.expressions, reduced.strings)
        trusted = trusted and setting is not None and id(place) in items
        if setting is not None:
            settings.append(setting)
    return tuple(settings), frozenset(("set_config",)) if trusted else frozenset()


def _unwrapped(item: Any) -> Any:
    return item.this if isinstance(item, exp.Alias) else item


def _setting(arguments: list[Any], strings: list[str]) -> Setting | None:
    if len(arguments) != 3:
        return None
    name, value, is_local = arguments
    if not (_is_string(name) and _is_string(value) and isinstance(is_local, exp.Boolean)):
        return None
    return Setting(
        strings[int(name.this)].lower(),
        "local" if is_local.this else "session",
        strings[int(value.this)],
    )


def _is_string(node: Any) -> bool:
    return (
        isinstance(node, exp.Literal)
        and bool(node.args.get("is_string"))
        and bool(_PLACE.fullmatch(str(node.this)))
    )
