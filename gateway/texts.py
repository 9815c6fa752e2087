"""What the audit log holds of a statement's text: the part of the section ``audit`` that says so."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Mode: TypeAlias = Literal["text", "fingerprint", "sealed"]


@dataclass(frozen=True, slots=True)
class Texts:
    """How statements are recorded.

    ``text``: with their secrets replaced. ``fingerprint``: their form, and a keyed digest of the text.
    ``sealed``: their form, and the text itself encrypted to each of *recipients*, public keys of age.
    """

    mode: Mode = "text"
    recipients: tuple[str, ...] = ()


def read(section: Mapping[str, Any]) -> Texts:
    """The section ``audit``, already checked."""
    return Texts(section.get("statements", "text"), tuple(section.get("recipients") or ()))


def problems(section: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What a schema cannot say: the path inside the section, and the sentence."""
    recipients = section.get("recipients") or ()
    is_sealed = section.get("statements") == "sealed"
    if is_sealed and not recipients:
        yield ("statements",), "expected audit.recipients beside it: the public keys of who may read them"
    if recipients and not is_sealed:
        yield ("recipients",), "expected audit.statements: sealed beside it"
    for number, text in enumerate(recipients):
        if not _is_public_key(text):
            yield ("recipients", number), "expected a public key as regate audit keygen prints it (age1…)"


def _is_public_key(text: str) -> bool:
    import pyrage  # noqa: PLC0415 -- only files with recipients need it

    try:
        pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        return False
    return True
