"""The lexical rules of MySQL and MariaDB, and nothing more lenient.

https://dev.mysql.com/doc/refman/8.0/en/language-structure.html and https://mariadb.com/kb/en/language-structure/.
Assumes what the protocol sees to: the text reached the server in a character set in which no byte of a
character can be a quote or a backslash. What depends on a setting follows ``Reading``. Where servers differ
(``1a``, ``0X41``, a name that starts with ``$``), the text is refused rather than read.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.mysql import comments
from gateway.classify.tokens import (
    MARK,
    NAME,
    NAMES,
    NUMBER,
    OPERATOR,
    PARAMETER,
    STRING,
    SYSTEM,
    VARIABLE,
    WORD,
    Kind,
)


class Token(NamedTuple):
    """One token. ``value`` is what it means (a word in small letters), ``raw`` a name as it was written."""

    kind: Kind
    value: str
    raw: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Reading:
    """How a server reads a text: which one it is, and the settings of the session that matter."""

    is_mariadb: bool = False
    version: int = 0  # 80031, 101119; 0: not known
    ansi_quotes: bool = False
    no_backslash_escapes: bool = False
    folds: bool | None = None  # names of tables to small letters; None: not known
    is_known: bool = True  # False: a mode that is not known, or another grammar


_FIRST = r"A-Za-z_\x80-\uffff"
_REST = r"A-Za-z0-9_$\x80-\uffff"
_AFTER = re.compile(rf"[{_REST}]")
_MASTER: Final = re.compile(
    rf"""
    (?P<blank>[ \t\n\r\f\v]++|\#[^\n]*+|--(?=[ \t\n\r\f\v]|\Z)[^\n]*+)
  | (?P<mark>[(),;{{}}]|\.(?![0-9]))
  | (?P<comment>/\*)
  | (?P<string>(?:[nNxXbB](?='))?')
  | (?P<word>[{_FIRST}][{_REST}]*+)
  | (?P<backtick>`)
  | (?P<quote>")
  | (?P<number>0x[0-9A-Fa-f]++|0b[01]++|(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?)
  | (?P<operator><=>|->>|->|<<|>>|<=|>=|<>|!=|:=|\|\||&&|[-+*/%<>=!~&|^])
  | (?P<parameter>\?)
  | (?P<variable>@@?)
    """,
    re.VERBOSE,
)
_PLAIN: Final = {
    quote: re.compile(f"[^{quote}]*+(?:{quote}{quote}[^{quote}]*+)*{quote}(?!{quote})") for quote in "'\"`"
}
_ESCAPED: Final = {
    quote: re.compile(
        rf"[^{quote}\\]*+(?:(?:{quote}{quote}|\\.)[^{quote}\\]*+)*{quote}(?!{quote})", re.DOTALL
    )
    for quote in "'\""
}
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}
_VARIABLE: Final = re.compile(r"[A-Za-z0-9._$\x80-\uffff]++")
_SYSTEM: Final = re.compile(rf"(?:[{_FIRST}][{_REST}]*+|`[^`]++`)(?:\.(?:[{_FIRST}][{_REST}]*+|`[^`]++`))*")
_STRANGE: Final = frozenset(("Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn"))
_UPPER: Final = re.compile(r"[A-Z]+")


def fold(word: str) -> str:
    """*word* with ASCII letters made small: how keywords compare."""
    return word.lower() if word.isascii() else _UPPER.sub(lambda match: match[0].lower(), word)


def lowered(name: str) -> str:
    """*name* as the servers compare names of columns, aliases and functions: without case in any alphabet."""
    return name.lower() if name.isascii() else name.lower().replace("i\u0307", "i")


@cache
def reading(dialect: str, version: str, modes: frozenset[str] | None) -> Reading:
    """How a server of that dialect and version reads text in a session with these modes."""
    number = comments.version_number(version)
    is_mariadb = dialect == "mariadb"
    if modes is None:
        return Reading(is_mariadb, number, is_known=False)
    return Reading(
        is_mariadb,
        number,
        ansi_quotes=not _ANSI.isdisjoint(modes),
        no_backslash_escapes="NO_BACKSLASH_ESCAPES" in modes,
        folds=_folds(modes),
        is_known=_FOREIGN.isdisjoint(modes),
    )


def _folds(modes: frozenset[str]) -> bool | None:
    """What ``@@lower_case_table_names`` says: with 1 and 2 names compare without case."""
    if "LOWER_CASE_TABLE_NAMES=0" in modes:
        return False
    return True if modes & {"LOWER_CASE_TABLE_NAMES=1", "LOWER_CASE_TABLE_NAMES=2"} else None


_FOREIGN: Final = frozenset(("ORACLE", "MSSQL", "DB2", "MAXDB", "POSTGRESQL"))
_ANSI: Final = frozenset(("ANSI_QUOTES", "ANSI"))


def tokenize(text: str, how: Reading) -> list[Token]:
    """Every token of *text*; raises DoubtError where the server would refuse or servers differ."""
    if not how.is_known:
        raise DoubtError(Doubt.MODE)
    return _Lexer(text, how).run()


class _Lexer:
    def __init__(self, text: str, how: Reading) -> None:
        self.text = text
        self.how = how
        self.tokens: list[Token] = []
        self.is_inside = False  # of a comment whose text runs

    def run(self) -> list[Token]:  # noqa: C901, PLR0912 - the hot loop, most frequent kinds first
        text, tokens = self.text, self.tokens
        at, size = 0, len(text)
        match_at = _MASTER.match
        while at < size:
            if self.is_inside and text.startswith("*/", at):
                self.is_inside = False
                at += 2
                continue
            match = match_at(text, at)
            if match is None:
                raise DoubtError(Doubt.CHARACTER)
            group, end = match.lastgroup, match.end()
            if group == "mark":
                if self.is_inside and match[0] == ";":
                    raise DoubtError(Doubt.COMMENT)
                tokens.append(Token(MARK, match[0], match[0], at, end))
            elif group == "word":
                word = match[0]
                if not word.isascii():
                    _check_word(word)
                tokens.append(Token(WORD, fold(word), word, at, end))
            elif group == "operator":
                tokens.append(Token(OPERATOR, match[0], match[0], at, end))
            elif group == "number":
                self._check_number(at, end)
                tokens.append(Token(NUMBER, match[0], match[0], at, end))
            elif group == "string":
                end = self._string(at, end, "'")
            elif group == "blank":
                if self.is_inside and text[at] in "#-":
                    raise DoubtError(Doubt.COMMENT)
            elif group == "comment":
                end = self._comment(at)
            elif group == "parameter":
                tokens.append(Token(PARAMETER, "?", "?", at, end))
            elif group == "variable":
                end = self._variable(at, end)
            else:
                end = self._quoted(at, end)
            at = end
        if self.is_inside:
            raise DoubtError(Doubt.UNTERMINATED)
        return tokens

    def _comment(self, at: int) -> int:
        """Past a comment, or into one whose text the server runs."""
        if self.is_inside:
            raise DoubtError(Doubt.COMMENT)
        live = comments.live(self.text, at, is_mariadb=self.how.is_mariadb, version=self.how.version)
        if live:
            self.is_inside = True
            return live
        end = self.text.find("*/", at + 2)
        if end < 0:
            raise DoubtError(Doubt.UNTERMINATED)
        return end + 2

    def _string(self, start: int, at: int, quote: str) -> int:
        escapes = not self.how.no_backslash_escapes
        match = (_ESCAPED if escapes else _PLAIN)[quote].match(self.text, at)
        if match is None:
            raise DoubtError(Doubt.UNTERMINATED)
        body, end = match[0][:-1], match.end()
        value = body.replace(quote * 2, quote)
        if escapes and "\\" in body:
            value = _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), value)
        self.tokens.append(Token(STRING, value, body, start, end))
        return end

    def _quoted(self, start: int, at: int) -> int:
        """A name in back-ticks; and what stands in double quotes, which depends."""
        quote = self.text[start]
        if quote == '"' and not self.how.ansi_quotes:
            return self._string(start, at, '"')
        match = _PLAIN[quote].match(self.text, at)
        if match is None:
            raise DoubtError(Doubt.UNTERMINATED)
        name = _checked_name(match[0][:-1].replace(quote * 2, quote))
        self.tokens.append(Token(NAME, name, name, start, match.end()))
        return match.end()

    def _variable(self, start: int, at: int) -> int:
        text = self.text
        if text.startswith("@@", start):
            match = _SYSTEM.match(text, at)
            if match is None:
                raise DoubtError(Doubt.NAME)
            value = fold(match[0].replace("`", ""))
            self.tokens.append(Token(SYSTEM, value, match[0], start, match.end()))
            return match.end()
        quote = text[at : at + 1]
        if quote and quote in "'\"`":
            if quote == "`" or (quote == '"' and self.how.ansi_quotes):
                end = self._quoted(at, at + 1)
            else:
                end = self._string(at, at + 1, quote)
            value = self.tokens.pop().value
        else:
            match = _VARIABLE.match(text, at)
            if match is None:
                raise DoubtError(Doubt.NAME)
            value, end = match[0], match.end()
        self.tokens.append(Token(VARIABLE, fold(value), value, start, end))
        return end

    def _check_number(self, start: int, end: int) -> None:
        """Digits with letters behind them may be a name; digits behind a dot are one."""
        if end < len(self.text) and (_AFTER.match(self.text, end) or self.text[end] == "."):
            raise DoubtError(Doubt.NUMBER)
        before = self.tokens[-1] if self.tokens else None
        if before is not None and before.end == start and self.text[start] == "." and before.kind in NAMES:
            raise DoubtError(Doubt.NUMBER)


def _check_word(word: str) -> None:
    # A no-break space is part of a name to the server and a blank to a reader; neither is worth a guess.
    if any(ord(letter) > 127 and unicodedata.category(letter) in _STRANGE for letter in word):
        raise DoubtError(Doubt.CHARACTER)


def _checked_name(name: str) -> str:
    """A quoted name; ``#mysql50#x`` is the file x, and slashes lead elsewhere."""
    if not name or name[-1] == " " or name[0] == "#" or "/" in name or "\\" in name:
        raise DoubtError(Doubt.NAME)
    if any(ord(letter) < 32 or ord(letter) == 127 or ord(letter) > 0xFFFF for letter in name):
        raise DoubtError(Doubt.NAME)
    return name
