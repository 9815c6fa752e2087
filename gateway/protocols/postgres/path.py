"""``search_path`` as the server shows it, taken apart into schema names."""


def parse_path(shown: str, db_user: str) -> tuple[str, ...] | None:
    """The schemas in *shown*, in order; ``"$user"`` is *db_user*. None when it cannot be read with certainty.

    ``SHOW search_path`` gives the setting as it was written: names separated by commas, folded to lower case
    unless quoted.
    """
    names: list[str] = []
    at, size = 0, len(shown)
    while at < size or names:
        while at < size and shown[at].isspace():
            at += 1
        if at < size and shown[at] == '"':
            name, at = _quoted(shown, at + 1)
        else:
            stop = at
            while stop < size and shown[stop] != "," and not shown[stop].isspace():
                stop += 1
            # The server folds ASCII only in UTF-8 databases; anything else is not guessed.
            name, at = shown[at:stop], stop
            if not name.isascii() or '"' in name:
                return None
            name = name.lower()
        if not name and not _is_empty(shown):
            return None
        names.append(db_user if name == "$user" else name)
        while at < size and shown[at].isspace():
            at += 1
        if at >= size:
            break
        if shown[at] != ",":
            return None
        at += 1
    return tuple(name for name in names if name)


def _is_empty(shown: str) -> bool:
    """``SET search_path = ''`` shows as ``""``: one schema with no name, which is none."""
    return shown.strip() in {"", '""'}


def _quoted(shown: str, at: int) -> tuple[str, int]:
    taken: list[str] = []
    while at < len(shown):
        if shown[at] == '"':
            if shown[at + 1 : at + 2] != '"':
                return "".join(taken), at + 1
            at += 1
        taken.append(shown[at])
        at += 1
    return "", at
