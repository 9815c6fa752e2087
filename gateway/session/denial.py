"""Refusals that no policy was asked for: each has an id to be found by, and no revisions."""

from contextlib import suppress

from gateway.clock import Clock, new_id
from gateway.errors import ProtocolError
from gateway.model.decision import Denied, Reason
from gateway.sansio.protocol import Protocol, Startup
from gateway.transport.line import Line, drive


def local_denial(clock: Clock, code: str, message: str) -> Denied:
    """A refusal of now."""
    return Denied(new_id(clock.now_ns()), (Reason(code, message),))


async def turn_away(protocol: Protocol, line: Line, startup: Startup | None, denial: Denied) -> None:
    """Say no to a client that gets no session; whoever calls sets the time that it has to listen."""
    if protocol.turn_away is None or not line.encrypted:
        await line.write(protocol.refuse_startup(startup, denial))
        return
    with suppress(ProtocolError):  # it left, or says what nobody understands
        await drive(protocol.turn_away(denial), line)
