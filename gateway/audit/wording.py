"""What a record says of a statement: its text without secrets, or its form beside a digest or a sealed text.

The form has no literals (``Classification.fingerprint``); where a text was not understood well enough to
have one, only its operation is told. The digest is an HMAC-SHA256 with a key of that log alone: whoever has
the text and asks the auth service finds its records, and whoever has the log alone cannot try texts until one
fits. Sealed texts are encrypted with age (https://age-encryption.org/v1) to the auditors' public keys.
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from gateway.errors import ConfigError
from gateway.model.classification import Classification
from gateway.texts import Texts

HMAC: Final = "statement_hmac"
SEALED: Final = "statement_sealed"
_NOTHING: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Wording:
    """*shown* is the record's ``statement``, *beside* gives what else stands there of the text."""

    shown: Callable[[Classification], str]
    beside: Callable[[Classification], Mapping[str, str]]


PLAIN: Final = Wording(shown=lambda item: item.redacted, beside=lambda _item: _NOTHING)


def of(texts: Texts, secret: str, origin: str) -> Wording:
    """The wording of the log named *origin*; *secret* is the cluster's."""
    match texts.mode:
        case "text":
            return PLAIN
        case "fingerprint":
            key = key_of(secret, origin)
            return Wording(_form, lambda item: {HMAC: digest(key, _raw(item))})
        case "sealed":
            return Wording(_form, _seal(texts.recipients))
        case other:
            assert_never(other)


def key_of(secret: str, origin: str) -> bytes:
    """The key of one log's digests: the same for as long as the cluster's audit key is."""
    return hmac.digest(secret.encode(), b"regate statements\0" + origin.encode(), "sha256")


def digest(key: bytes, text: str) -> str:
    """The digest of a statement's text, in hexadecimal."""
    return hmac.new(key, text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()


def _form(item: Classification) -> str:
    return item.fingerprint or item.operation


def _raw(item: Classification) -> str:
    """The statement's own text. A command that is no text counts as what would be recorded of it."""
    return item.text or item.redacted


def _seal(recipients: Sequence[str]) -> Callable[[Classification], Mapping[str, str]]:
    import pyrage  # noqa: PLC0415 -- a mode that few use

    keys = [pyrage.x25519.Recipient.from_str(text) for text in recipients]

    def seal(item: Classification) -> Mapping[str, str]:
        sealed = pyrage.encrypt(_raw(item).encode(errors="surrogatepass"), keys)
        return {SEALED: b64encode(sealed).decode("ascii")}

    return seal


class Opener:
    """Opens sealed texts with an auditor's identity."""

    def __init__(self, identity: str) -> None:
        """*identity* is a file of age's: a secret key, and comments."""
        import pyrage  # noqa: PLC0415 -- a mode that few use

        lines = (line.strip() for line in identity.splitlines())
        try:
            self._keys = [
                pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")
            ]
        except pyrage.IdentityError:
            self._keys = []
        if not self._keys:
            hint = "regate audit keygen makes one"
            raise ConfigError("the identity file holds no secret key of age", hint=hint)

    def open(self, sealed: str) -> str | None:
        """The text; None when it was sealed for somebody else, or is damaged."""
        import pyrage  # noqa: PLC0415 -- a mode that few use

        try:
            text: bytes = pyrage.decrypt(b64decode(sealed, validate=True), self._keys)
            return text.decode(errors="surrogatepass")
        except (pyrage.DecryptError, ValueError):
            return None


def new_identity() -> tuple[str, str]:
    """A new secret key, and the public key that texts are sealed to."""
    import pyrage  # noqa: PLC0415 -- a mode that few use

    made = pyrage.x25519.Identity.generate()
    return str(made), str(made.to_public())
