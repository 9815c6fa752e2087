"""The ends of requests whose answers never came."""

from collections.abc import Iterable
from typing import Final

from gateway.sansio.exchange import Outcome, Request

NOT_KNOWN: Final = "unknown"


def not_known(requests: Iterable[Request | None]) -> tuple[Outcome, ...]:
    """An outcome that nobody knows for each request; None stands for what was the gateway's own."""
    return tuple(Outcome(request, error_code=NOT_KNOWN) for request in requests if request is not None)
