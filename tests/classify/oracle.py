"""What PostgreSQL's own parser finds in a text, for comparison."""

from dataclasses import dataclass, field
from typing import Any

import postgast

_CHANGES = {"InsertStmt": "insert", "UpdateStmt": "update", "DeleteStmt": "delete", "MergeStmt": "merge"}
_WORDS = {"BETWEEN", "NOT BETWEEN", "BETWEEN SYMMETRIC", "NOT BETWEEN SYMMETRIC"}


@dataclass
class Found:
    relations: set[tuple[str, str]] = field(default_factory=set)
    functions: set[tuple[str, str]] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)
    operators: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    ctes: set[str] = field(default_factory=set)
    aliases: set[str] = field(default_factory=set)


def _last_two(names: Any) -> tuple[str, str]:
    return (names[-2].string.sval if len(names) > 1 else "", names[-1].string.sval)


def _note(found: Found, kind: str, node: Any) -> None:
    if kind == "RangeVar":
        found.relations.add((node.schemaname, node.relname))
        found.aliases.add(node.alias.aliasname)
    elif kind == "LockingClause":
        found.aliases.update(locked.range_var.relname for locked in node.locked_rels)
    elif kind == "FuncCall":
        found.functions.add(_last_two(node.funcname))
    elif kind == "CommonTableExpr":
        found.ctes.add(node.ctename)
    elif kind in _CHANGES:
        found.kinds.add(_CHANGES[kind])
    elif kind == "IntoClause":
        found.kinds.add("create")
    elif kind == "A_Expr" and node.name:
        found.operators.add(node.name[-1].string.sval)
    elif kind == "TypeName" and node.names:
        found.types.add(_last_two(node.names)[1])


def _walk(message: Any, found: Found) -> None:
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for item in value if descriptor.is_repeated else [value]:
                _note(found, descriptor.message_type.name, item)
                _walk(item, found)


def read(text: str) -> list[Found] | None:
    """One entry per statement; None where the parser refuses the text or its tree is too deep to carry."""
    try:
        tree = postgast.parse(text)
    except Exception:  # noqa: BLE001 - its error types are its own affair: a refusal is all that counts
        return None
    statements = []
    for statement in tree.stmts:
        found = Found()
        _walk(statement, found)
        found.operators -= _WORDS
        statements.append(found)
    return statements
