"""PostgreSQL's lexical rules, exactly, and nothing more lenient.

https://www.postgresql.org/docs/15/sql-syntax-lexical.html. Assumes what the gateway pins:
``client_encoding`` UTF8 and ``standard_conforming_strings`` on. Where server versions read a text
differently (``1_000``, ``0x1F``, a number with letters behind it, a vertical tab), it is refused rather
than read.
"""

import re
import unicodedata
from typing import NamedTuple

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.tokens import MARK, NAME, NUMBER, OPERATOR, PARAMETER, STRING, WORD, Kind


class Token(NamedTuple):
    """One token: ``value`` is folded, decoded and cut as the server would; the rest is its place."""

    kind: Kind
    value: str
    start: int
    end: int


NAME_BYTES = 63  # NAMEDATALEN - 1

_FIRST = "A-Za-z_\x80-\U0010ffff"
_MASTER = re.compile(
    rf"""
    (?P<blank>[ \t\n\r\f]++|--[^\n\r]*+)
  | (?P<mark>::|:=|[()\[\],;:]|\.(?![0-9]))
  | (?P<simple>'[^']*+'(?=[,);]))
  | (?P<comment>/\*)
  | (?P<unicode>[uU]&['"])
  | (?P<string>[eEbBxXnN]?')
  | (?P<word>[{_FIRST}][{_FIRST}0-9$]*+)
  | (?P<name>")
  | (?P<parameter>\$[0-9]++)
  | (?P<dollar>\$(?:[{_FIRST}][{_FIRST}0-9]*+)?\$)
  | (?P<number>(?:[0-9]++(?:\.(?!\.)[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?)
  | (?P<operator>(?:(?!--|/\*)[-+*/<>=~!@#%^&|`?])+)
    """,
    re.VERBOSE,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
# No group is possessive: before 3.11.5 Python goes on behind the place where one failed. None needs to be:
# its parts begin differently, and a quote that ends something has none behind it.
_NEXT_SEGMENT = re.compile(r"(?:[ \t\f]++|--[^\n\r]*+)*[\n\r](?:[ \t\n\r\f]++|--[^\n\r]*+[\n\r])*'")
_PLAIN_BODY = re.compile(r"[^']*+(?:''[^']*+)*'(?!')")
_ESCAPED_BODY = re.compile(r"[^'\\]*+(?:(?:''|\\.)[^'\\]*+)*'(?!')", re.DOTALL)
_NAME_BODY = re.compile(r'[^"]*+(?:""[^"]*+)*"(?!")')
_ESCAPE = re.compile(
    r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL
)
_UESCAPE = re.compile(
    r"(?:[ \t\n\r\f]++|--[^\n\r]*+[\n\r])*uescape(?:[ \t\n\r\f]++|--[^\n\r]*+[\n\r])*'([^'])'", re.IGNORECASE
)
_AFTER_NUMBER = re.compile(rf"[{_FIRST}$]")
_OPERATOR_WITH_SIGN = frozenset("~!@#%^&|`?")
_SIMPLE_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_UPPER = re.compile(r"[A-Z]")
_STRANGE_CATEGORIES = frozenset(("Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn"))


def fold(word: str) -> str:
    """An unquoted name as the server keeps it: ASCII letters lowered, cut to 63 bytes."""
    if word.isascii():
        return word[:NAME_BYTES].lower()
    return cut(_UPPER.sub(lambda match: match[0].lower(), word))


def cut(name: str) -> str:
    """At most 63 bytes of UTF-8, never half a character."""
    raw = name.encode()
    return name if len(raw) <= NAME_BYTES else raw[:NAME_BYTES].decode(errors="ignore")


def tokenize(text: str) -> list[Token]:  # noqa: C901 - the hot loop, most frequent kinds first
    """Every token of *text*; raises DoubtError where the server would refuse or versions differ."""
    tokens: list[Token] = []
    at, size = 0, len(text)
    match_at = _MASTER.match
    while at < size:
        match = match_at(text, at)
        if match is None:
            raise DoubtError(Doubt.CHARACTER)
        group, end = match.lastgroup, match.end()
        if group == "mark":
            tokens.append(Token(MARK, match[0], at, end))
        elif group == "simple":  # nothing doubled, nothing that goes on behind it
            tokens.append(Token(STRING, match[0][1:-1], at, end))
        elif group == "word":
            word = match[0]
            if not word.isascii():
                _check_word(word)
            tokens.append(Token(WORD, fold(word), at, end))
        elif group == "operator":
            end = at + _operator_size(match[0])
            tokens.append(Token(OPERATOR, text[at:end], at, end))
        elif group == "number":
            end = _number_end(text, at, end)
            tokens.append(Token(NUMBER, match[0], at, end))
        elif group == "comment":
            end = _skip_comment(text, end)
        elif group != "blank":
            token = _READERS[str(group)](text, at, end)
            end = token.end
            tokens.append(token)
        at = end
    return tokens


def _check_word(word: str) -> None:
    # A no-break space is part of a name to the server and a blank to a reader; neither is worth a guess.
    if any(ord(letter) > 127 and unicodedata.category(letter) in _STRANGE_CATEGORIES for letter in word):
        raise DoubtError(Doubt.CHARACTER)


def _operator_size(run: str) -> int:
    """The server's longest match: a trailing + or - is of what follows unless a special sign is in it."""
    size = len(run)
    while size > 1 and run[size - 1] in "+-" and not _OPERATOR_WITH_SIGN.intersection(run[:size]):
        size -= 1
    return size


def _number_end(text: str, start: int, end: int) -> int:
    if end < len(text) and _AFTER_NUMBER.match(text, end):
        raise DoubtError(Doubt.NUMBER)
    if text.startswith("..", end) or (end > start and text[end : end + 1] == "."):
        raise DoubtError(Doubt.NUMBER)
    return end


def _skip_comment(text: str, at: int) -> int:
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(text, at)
        if edge is None:
            raise DoubtError(Doubt.UNTERMINATED)
        depth += 1 if edge[0] == "/*" else -1
        at = edge.end()
    return at


def _string(text: str, start: int, at: int) -> Token:
    escaped = text[start] in "eE"
    body, end = _segments(text, at, _ESCAPED_BODY if escaped else _PLAIN_BODY)
    return Token(STRING, _unescape(body) if escaped else body.replace("''", "'"), start, end)


def _segments(text: str, at: int, pattern: re.Pattern[str]) -> tuple[str, int]:
    """A literal's body with its continuations: segments with a line break between them are one literal."""
    parts: list[str] = []
    while True:
        match = pattern.match(text, at)
        if match is None:
            raise DoubtError(Doubt.UNTERMINATED)
        parts.append(match[0][:-1])
        at = match.end()
        more = _NEXT_SEGMENT.match(text, at)
        if more is None:
            return "".join(parts), at
        at = more.end()


def _unescape(body: str) -> str:
    if "\\" not in body:
        return body.replace("''", "'")

    def one(match: re.Match[str]) -> str:
        octal, hexadecimal, short, long, other = match.groups()
        if other is not None:
            return _SIMPLE_ESCAPES.get(other, other)
        code = int(octal, 8) & 255 if octal else int(hexadecimal or short or long, 16)
        if code > 127 and not (short or long):
            return "\ufffd"  # one byte of a character: the value is only shown, never compared
        return _character(code)

    return _ESCAPE.sub(one, body.replace("''", "'"))


def _character(code: int) -> str:
    if code == 0 or code > 0x10FFFF:
        raise DoubtError(Doubt.CHARACTER)
    return chr(code) if not 0xD800 <= code < 0xE000 else "\ufffd"


def _name(text: str, start: int, at: int) -> Token:
    match = _NAME_BODY.match(text, at)
    if match is None:
        raise DoubtError(Doubt.UNTERMINATED)
    return Token(NAME, _checked_name(match[0][:-1].replace('""', '"')), start, match.end())


def _checked_name(name: str) -> str:
    if not name or (
        not name.isprintable() and any(ord(letter) < 32 or ord(letter) == 127 for letter in name)
    ):
        raise DoubtError(Doubt.NAME)
    return cut(name)


def _unicode(text: str, start: int, at: int) -> Token:
    """``U&'…'`` and ``U&"…"`` with an optional UESCAPE behind."""
    is_name = text[at - 1] == '"'
    if is_name:
        match = _NAME_BODY.match(text, at)
        if match is None:
            raise DoubtError(Doubt.UNTERMINATED)
        body, end = match[0][:-1].replace('""', '"'), match.end()
    else:
        body, end = _segments(text, at, _PLAIN_BODY)
        body = body.replace("''", "'")
    escape, chosen = "\\", _UESCAPE.match(text, end)
    if chosen is not None:
        escape, end = chosen[1], chosen.end()
        if escape in "+\"' \t\n\r" or escape in "0123456789abcdefABCDEF":
            raise DoubtError(Doubt.NAME)
    value = _unicode_value(body, escape)
    return Token(NAME, _checked_name(value), start, end) if is_name else Token(STRING, value, start, end)


def _unicode_value(body: str, escape: str) -> str:
    quoted = re.escape(escape)
    pattern = re.compile(rf"{quoted}(?:({quoted})|([0-9A-Fa-f]{{4}})|\+([0-9A-Fa-f]{{6}})|(.?))", re.DOTALL)

    def one(match: re.Match[str]) -> str:
        doubled, short, long, _ = match.groups()
        if doubled:
            return escape
        code = short or long
        if code is None or 0xD800 <= int(code, 16) < 0xE000:
            raise DoubtError(Doubt.NAME)  # an escape that is none, or half of a surrogate pair
        return _character(int(code, 16))

    return pattern.sub(one, body)


def _dollar(text: str, start: int, at: int) -> Token:
    tag = text[start:at]
    if not tag.isascii():
        _check_word(tag)
    end = text.find(tag, at)
    if end < 0:
        raise DoubtError(Doubt.UNTERMINATED)
    return Token(STRING, text[at:end], start, end + len(tag))


def _parameter(text: str, start: int, at: int) -> Token:
    if at < len(text) and _AFTER_NUMBER.match(text, at):
        raise DoubtError(Doubt.NUMBER)
    return Token(PARAMETER, text[start:at], start, at)


_READERS = {"string": _string, "name": _name, "unicode": _unicode, "dollar": _dollar, "parameter": _parameter}
