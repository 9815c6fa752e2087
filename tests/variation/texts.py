"""Texts of SQL cut into tokens and put together again, for those who change one thing about them.

The cutting is this module's own, so that a mistake in the gateway's lexers cannot hide itself.
"""

import itertools
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["blank", "string", "name", "word", "number", "mark", "operator", "other"]

_WORD: Final = r"[^\W\d][\w$]*"
_POSTGRES: Final = re.compile(
    rf"""
    (?P<blank>[ \t\n\r\f]+|--[^\n\r]*)
  | (?P<string>[eE]'(?:[^'\\]|\\.|'')*'|(?:[uU]&|[bBxXnN])?'(?:[^']|'')*'
      | (?P<tag>\$(?:{_WORD.replace("$", "")})?\$).*?(?P=tag))
  | (?P<name>(?:[uU]&)?"(?:[^"]|"")*")
  | (?P<word>{_WORD})
  | (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)
  | (?P<other>\$\d+)
  | (?P<mark>::|:=|[()\[\],;:.])
  | (?P<operator>(?:(?!--|/\*)[-+*/<>=~!@\#%^&|`?])+)
    """,
    re.VERBOSE | re.DOTALL,
)
_MYSQL: Final = re.compile(
    rf"""
    (?P<blank>[ \t\n\r\f\v]+|\#[^\n]*|--(?=[\s]|\Z)[^\n]*|/\*(?![!M+]).*?\*/)
  | (?P<string>(?:[nNbBxX]|_\w+\ ?)?'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
  | (?P<name>`(?:[^`]|``)*`)
  | (?P<other>@@?(?:\w+|`[^`]*`|'[^']*')?|\?)
  | (?P<word>{_WORD})
  | (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)
  | (?P<mark>[()\[\],;:.{{}}])
  | (?P<operator>->>|->|:=|<=>|<<|>>|<=|>=|<>|!=|\|\||&&|[-+*/<>=~!%^&|])
    """,
    re.VERBOSE | re.DOTALL,
)
_PATTERNS: Final = {"postgresql": _POSTGRES, "mysql": _MYSQL, "mariadb": _MYSQL}


@dataclass(frozen=True, slots=True)
class Token:
    """One token; ``gap`` is what stands before it."""

    kind: Kind
    text: str
    gap: str = ""


def tokens(text: str, protocol: str) -> list[Token] | None:
    """The tokens of *text* without what is behind the last; None where this module cannot cut it."""
    found: list[Token] = []
    at, gap = 0, ""
    while at < len(text):
        if protocol == "postgresql" and text.startswith("/*", at):
            end = _comment(text, at)
        else:
            match = _PATTERNS[protocol].match(text, at)
            end = match.end() if match else 0
            if match and match.lastgroup != "blank" and match.end() > at:
                kind = match.lastgroup if match.lastgroup != "tag" else "string"
                found.append(Token(kind, match[0], gap))  # type: ignore[arg-type] # the groups are the kinds
                at, gap = end, ""
                continue
        if not end:
            return None
        gap += text[at:end]
        at = end
    return found if not _runs_on(found) else None


def _comment(text: str, at: int) -> int:
    """Where the nested comment that opens at *at* is closed; 0 where it is not."""
    depth = 0
    for edge in re.finditer(r"/\*|\*/", text[at:]):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return at + edge.end()
    return 0


def _runs_on(found: list[Token]) -> bool:
    """Literals one behind the other are one literal or an error, as what is between them says."""
    return any(one.kind == two.kind == "string" for one, two in itertools.pairwise(found))


def joined(items: Iterable[Token]) -> str:
    """The text of these tokens."""
    return "".join(item.gap + item.text for item in items)


def regapped(items: list[Token], gap: Callable[[], str], *, everywhere: bool) -> str:
    """The tokens with other gaps between them: where there was one, or between any two."""
    out = [items[0].text] if items else []
    for before, item in itertools.pairwise(items):
        is_glued = (
            item.kind == "other" or before.kind == "other" or (before.kind, item.kind) == ("number", "word")
        )
        if item.gap or (everywhere and not is_glued):
            out.append(gap())
        out.append(item.text)
    return "".join(out)


def replaced(items: list[Token], change: Callable[[Token], str]) -> str:
    """The tokens with other texts."""
    return "".join(item.gap + change(item) for item in items)


def swapped_case(word: str, rng: random.Random) -> str:
    """*word* in letters of any case, ASCII's only: no two characters become one."""
    return "".join(
        letter.swapcase() if letter.isascii() and rng.random() < 0.5 else letter for letter in word
    )
