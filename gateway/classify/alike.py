"""Texts that differ in nothing but a number that something is compared with: what one says, the others say.

``SELECT c FROM t WHERE id = 5`` is sent with another number each time, and no verdict depends on which:
nothing in here reads such a number. So one of them is read, and of the others only that they are alike: the
text is a SELECT of words, short numbers and a few marks, without quotes, comments, variables and semicolons,
and the number stands behind ``word =``. A number anywhere else may say how much, or which, and stays.
"""

import re
from dataclasses import replace
from typing import Final

from gateway.classify.facts import Parsed

_LONGEST: Final = 2_000
_PLAIN: Final = re.compile(r"[ \t\n]*+select(?![A-Za-z0-9_])[A-Za-z0-9_.,()*=<> \t\n]*+", re.IGNORECASE)
_COMPARED: Final = re.compile(
    r"((?<![A-Za-z0-9_.])[A-Za-z_][A-Za-z0-9_.]*+[ \t\n]*+=[ \t\n]*+)[0-9]{1,9}+(?![A-Za-z0-9_.])"
)
_HOLE: Final = "?"  # which is none of the characters of such a text


def form(text: str) -> str:
    """*text* without the numbers that make no difference; empty where it has none, or may not be taken so."""
    if len(text) > _LONGEST or _PLAIN.fullmatch(text) is None:
        return ""
    found, count = _COMPARED.subn(rf"\1{_HOLE}", text)
    return found if count else ""


def is_pattern(parsed: Parsed, text: str) -> bool:
    """True when *parsed*, of *text*, may stand for its form: one statement, understood and shown as it is."""
    if len(parsed.pieces) != 1:
        return False
    piece = parsed.pieces[0]
    return not piece.reason and piece.text == piece.redacted == text.strip(" \t\n")


def like(parsed: Parsed, text: str) -> Parsed:
    """What *parsed* says, of a *text* of the same form."""
    shown = text.strip(" \t\n")
    piece = replace(parsed.pieces[0], text=shown, redacted=shown)
    return Parsed(parsed.dialect, (piece,), like=parsed)
