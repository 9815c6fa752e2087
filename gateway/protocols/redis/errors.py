"""Refusals as Redis itself words them: ``-NOPERM`` and a sentence, in one line."""

from typing import Final

from gateway.model.decision import Denied
from gateway.protocols.redis import resp

SUBSTITUTE: Final = resp.encode(
    b"GATEWAY.DENIED"
)  # what goes to the server in the place of a refused command
UNKNOWN: Final = b"-ERR unknown command\r\n"


def refused(denial: Denied) -> bytes:
    """What a refused client reads: the reasons, and the decision to ask about."""
    return _line(f"NOPERM {denial.sentence} (decision {denial.decision_id})")


def not_offered(name: str, reason: str) -> bytes:
    """What the client of a command reads that is never forwarded."""
    return _line(f"NOPERM '{name.replace('|', ' ')}' is not offered here: {reason}")


def _line(text: str) -> bytes:
    shown = "".join(character if character.isprintable() else " " for character in text[:4_000])
    return b"-" + shown.encode("utf-8", "replace") + b"\r\n"
