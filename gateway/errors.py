"""The errors somebody catches; a class exists for no other reason.

Messages are lower-case statements of fact with the offending value, and never hold a secret or row data.
"""


class RegateError(Exception):
    """Anything a command may print as one sentence, with its exit code; ``hint`` says what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(RegateError):
    """A file cannot be used: its message names the file, the line and the path inside the document."""

    exit_code = 2


class ProtocolError(RegateError):
    """A peer sent what its protocol, or our table of it, does not allow; the only error a codec raises."""


class BackendError(RegateError):
    """The database could not be reached, verified or logged in to."""


class PolicyError(RegateError):
    """The policy gave no usable answer; becomes a denial in ``policy.answer`` or ``policy.client``."""


class AuditError(RegateError):
    """The audit log cannot be written; becomes a denial."""


class StateError(RegateError):
    """The stored state did not answer: what needs it is refused until it does."""


class CertificateError(RegateError):
    """A certificate is not what its place needs."""


class AccessError(RegateError):
    """The API or a command refused; carries the reason's stable code."""

    exit_code = 3

    def __init__(self, message: str, *, code: str = "access_denied", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class NotFoundError(RegateError):
    """There is no such resource."""

    exit_code = 4

    @classmethod
    def of(cls, kind: str, name: str) -> "NotFoundError":
        """The error for a stored resource that is not there."""
        return cls(f"{kind} {name!r} does not exist", hint=f"regate get {kind}s prints those that do")


class ConflictError(RegateError):
    """There is one already, or it changed in between."""

    exit_code = 5
