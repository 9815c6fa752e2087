"""Where a command writes a file: ``file:///path``, a path, or standard output; never over another file."""

import json
import os
import re
from pathlib import Path

from gateway.errors import ConfigError

HELP = "file:///PATH|PATH|stdout"


def path_of(target: str) -> Path | None:
    """The file in *target*; None for standard output."""
    if target in {"stdout", "-"}:
        return None
    scheme, separator, rest = target.partition("://")
    if not separator:
        return Path(target).absolute()
    if scheme != "file" or not rest.startswith("/"):
        raise ConfigError(f"{target!r} is no place to write to", hint="write file:///path, a path or stdout")
    return Path(rest)


def write_new(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file that is not there yet."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise ConfigError(
            f"{path} is there already", hint="remove it first, or write to another place"
        ) from None
    except OSError as error:
        hint = "run the command with sudo" if isinstance(error, PermissionError) else ""
        raise ConfigError(f"cannot write {path}: {os.strerror(error.errno or 0)}", hint=hint) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/_.-]*")
_WORDS = frozenset({"yes", "no", "true", "false", "on", "off", "null", "y", "n"})


def quoted(text: str) -> str:
    """*text* as a YAML scalar that reads back as text, plain where that is plainly the same."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
