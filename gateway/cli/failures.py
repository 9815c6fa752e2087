"""The failures that only a command can have, each with its own exit code (all are listed in docs/cli.md)."""

from gateway.errors import RegateError


class TrustError(RegateError):
    """The other end is not who it should be; nothing secret was sent."""

    exit_code = 6


class LoginNeededError(RegateError):
    """There is no login, or it has ended."""

    exit_code = 7


class UnreachableError(RegateError):
    """Nobody answers there, or not in time."""

    exit_code = 8


class FindingError(RegateError):
    """A check ran to its end and found something wrong."""

    exit_code = 10
