"""A command as text for the log: long values cut, secrets replaced, and one line whatever is in it."""

from collections.abc import Sequence
from typing import Final

from gateway.protocols.redis import table

_LONGEST: Final = 256  # bytes of one argument
_MOST: Final = 64  # arguments
_HIDDEN: Final = "?"
_PLAIN: Final = frozenset(range(0x21, 0x7F)) - frozenset(b"\"'\\")
_SETTINGS: Final = (b"pass", b"auth", b"secret", b"key-file")
_WITH_SECRETS: Final = frozenset({"auth", "hello", "migrate", "config|set", "acl|setuser"})
_ACL_SECRETS: Final = (b">", b"<", b"#", b"!")


def is_secret(name: str) -> bool:
    """True for commands that may hold a secret, and for those that nobody knows."""
    return name in _WITH_SECRETS or name not in table.commands()


def text(name: str, arguments: Sequence[bytes], *, is_known: bool) -> str:
    """``SET app:x 1``; what is not known keeps its name alone, for it may be a mistyped login."""
    shown = [_word(argument) for argument in arguments[:_MOST]]
    if not is_known:
        shown[1:] = [_HIDDEN] * (len(shown) - 1)
    for at in _secrets(name, arguments):
        if at < len(shown):
            shown[at] = _HIDDEN
    if len(arguments) > _MOST:
        shown.append(f"… ({len(arguments)} arguments)")
    return " ".join(shown)


def _secrets(name: str, arguments: Sequence[bytes]) -> Sequence[int]:
    """Where the secrets stand."""
    everything = range(1, len(arguments))
    match name:
        case "auth":
            return everything
        case "hello" | "migrate":
            starts = [at for at in everything if arguments[at].upper() in {b"AUTH", b"AUTH2"}]
            return [at for start in starts for at in (start + 1, start + 2)]
        case "config|set":
            names = range(2, len(arguments), 2)
            return [at + 1 for at in names if any(word in arguments[at].lower() for word in _SETTINGS)]
        case "acl|setuser":
            return [at for at in everything if arguments[at].startswith(_ACL_SECRETS)]
        case _:
            return ()


def _word(argument: bytes) -> str:
    cut = argument[:_LONGEST]
    if cut and _PLAIN.issuperset(cut):
        shown = cut.decode("ascii")
    else:
        shown = '"' + cut.decode("utf-8", "backslashreplace").encode("unicode_escape").decode("ascii") + '"'
    return shown if len(argument) <= _LONGEST else f"{shown}… ({len(argument)} bytes)"
