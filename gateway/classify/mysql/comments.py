"""Comments whose text the server runs: ``/*! … */``, ``/*!50110 … */``, and MariaDB's ``/*M! … */``.

https://dev.mysql.com/doc/refman/8.0/en/comments.html, https://mariadb.com/kb/en/comment-syntax/. Only one
that surely runs is read, as part of the statement; one that may not run is refused.
"""

import re
from typing import Final

from gateway.classify.doubt import Doubt, DoubtError

_MARK: Final = re.compile(r"/\*(M?)!([0-9]*)")
_HINT: Final = re.compile(r"set_var|resource_group", re.IGNORECASE)
_VERSION: Final = re.compile(r"(?:5\.5\.5-)?(\d{1,3})\.(\d{1,2})\.(\d{1,2})")
_EVERYWHERE: Final = 50_699  # versions up to here: every server that is still maintained runs them
_IGNORED_BY_MARIADB: Final = range(50_700, 100_000)


def version_number(version: str) -> int:
    """80031 for ``8.0.31``, 101119 for ``5.5.5-10.11.19-MariaDB``; 0 where nothing like it stands."""
    match = _VERSION.match(version)
    return int(match[1]) * 10_000 + int(match[2]) * 100 + int(match[3]) if match else 0


def live(text: str, at: int, *, is_mariadb: bool, version: int) -> int:
    """Where the text begins that runs, in the comment that begins *at*; 0 for a comment that is one.

    Raises:
        DoubtError: it depends on the server, or on its version.
    """
    match = _MARK.match(text, at)
    if match is None:
        if text.startswith("/*+", at) and _HINT.search(text, at, max(text.find("*/", at), at)):
            raise DoubtError(Doubt.COMMENT)  # a hint that sets a variable
        return 0
    is_theirs, digits = bool(match[1]), match[2]
    if is_theirs and not is_mariadb:
        raise DoubtError(Doubt.COMMENT)  # of a server that may be MariaDB under another version's name
    if not digits:
        return match.end()
    number = int(digits) if len(digits) in {5, 6} and digits[0] != "0" else -1
    if number < 0 or (len(digits) == 6 and not is_mariadb):
        raise DoubtError(Doubt.COMMENT)
    if number <= _EVERYWHERE:
        return match.end()
    is_ignored = is_mariadb and not is_theirs and number in _IGNORED_BY_MARIADB
    if is_ignored or number > version:
        raise DoubtError(Doubt.COMMENT)
    return match.end()
