"""A statement that waits for a second person."""

from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    """How a hold ended."""

    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Held:
    """A statement that waits. ``statements`` are fit to be shown; times are nanoseconds since the epoch."""

    id: str
    session_id: str
    user: str
    database: str
    db_user: str
    db_name: str
    statements: tuple[str, ...]
    reason: str
    asked_ns: int
    expires_ns: int
