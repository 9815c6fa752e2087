"""What ``regate doctor`` looks at: each check is a name, a verdict, and what to do."""

import ssl
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gateway.errors import RegateError


class Verdict(StrEnum):
    """How a check came out."""

    OK = "ok"
    NOTE = "note"  # worth knowing, nothing broken
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; ``remedy`` says what to do about it."""

    name: str
    verdict: Verdict
    text: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """For ``--format=json``."""
        return {"name": self.name, "verdict": self.verdict.value, "text": self.text, "remedy": self.remedy}


def good(name: str, text: str) -> Check:
    """Nothing to do."""
    return Check(name, Verdict.OK, text)


def note(name: str, text: str, remedy: str = "") -> Check:
    """Something to know."""
    return Check(name, Verdict.NOTE, text, remedy)


def bad(name: str, text: str, remedy: str = "") -> Check:
    """Something to repair."""
    return Check(name, Verdict.BAD, text, remedy)


def failed(name: str, error: RegateError) -> Check:
    """What an error of ours says, as a check."""
    return bad(name, str(error), error.hint)


def words(error: OSError) -> str:
    """An operating system's error in a few words."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return error.strerror or str(error)
