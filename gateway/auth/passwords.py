"""Passwords: argon2id, and as much work for a user who does not exist as for one who does.

The cost (64 MiB, three passes, one lane) is the second choice of RFC 9106. Callers bound how many run at
once. Passwords are compared in Unicode's NFKC form, as NIST SP 800-63B asks, so that the same characters
typed on two keyboards are the same password.
"""

import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.errors import ConfigError

MIN_LENGTH = 12
MAX_BYTES = 1024

_HASHER = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)

# The hash of a password nobody knows (random bytes, thrown away), with the same cost as every other.
_DUMMY = "$argon2id$v=19$m=65536,t=3,p=1$7AMhabq60Z2sbrRzheQHYQ$uFGJgp+y68F+Qhset5NYNnalnxvove5P+m1SrlWAtcg"


def check_new(password: str) -> None:
    """Refuse a new password that is too short or too long, or cannot be typed."""
    if len(password) < MIN_LENGTH:
        raise ConfigError(f"the password has {len(password)} characters, at least {MIN_LENGTH} are needed")
    if len(password.encode("utf-8", "replace")) > MAX_BYTES:
        raise ConfigError(f"the password is longer than {MAX_BYTES} bytes")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in password):
        raise ConfigError("the password contains a control character")


def make_hash(password: str) -> str:
    """The hash to keep."""
    return _HASHER.hash(_form(password))


def matches(password_hash: str, password: str) -> bool:
    """Whether the password is the one; an empty hash (no such user) takes as long and matches nothing."""
    try:
        _HASHER.verify(password_hash or _DUMMY, _form(password))
    except (VerificationError, InvalidHashError):
        return False
    return bool(password_hash)


def is_outdated(password_hash: str) -> bool:
    """True when the hash was made with other costs than today's."""
    return _HASHER.check_needs_rehash(password_hash)


def _form(password: str) -> bytes:
    # Cut before normalising: what is longer than any password we accept need not be looked at further.
    return unicodedata.normalize("NFKC", password[:MAX_BYTES]).encode("utf-8", "surrogatepass")
