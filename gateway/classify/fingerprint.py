"""The form of a statement without its literals: for grouping in reports, never a key for a verdict."""

import re
from collections.abc import Iterable

_LIST = re.compile(r"\?(?: , \?)+")
_ROWS = re.compile(r"\( \?… \)(?: , \( \?… \))+")
_LONGEST = 2_000


def fingerprint(words: Iterable[str]) -> str:
    """*words* with ``?`` in the place of each literal, in one line; lists of literals become one."""
    text = " ".join(words)
    if "? , ?" in text:
        text = _ROWS.sub("( ?… )…", _LIST.sub("?…", text))
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
