"""Sends the statements of a corpus through a session of one's own, and reads what became of each.

Each gets a session and a transaction of its own, so that none sees what another left behind. The transaction
is rolled back; what an allowed statement does outside of it (COMMIT, COPY to a program, a sequence) stays.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from gateway.analysis.corpus import Entry, not_judged, protocol_of
from gateway.analysis.expectation import Result, result
from gateway.cli import profile, route, through
from gateway.cli.policy.line import IDLE, Answer, Line, dial
from gateway.cli.profile import DatabaseLogin, Profile
from gateway.clock import Clock, SystemClock, utc
from gateway.errors import AccessError, ConfigError
from gateway.protocols import REGISTRY
from gateway.protocols.postgres.errors import INSUFFICIENT_PRIVILEGE
from gateway.sansio.rehearsal import End, Ending

PROTOCOL: Final = "postgres"
_SECONDS: Final = 30.0
_DECISION: Final = re.compile(r"\(decision [0-9A-Z]{26}\)\Z")


def not_sent(entry: Entry) -> str:
    """Why *entry* is not judged live; empty when it is."""
    why = not_judged(entry)
    if why:
        return why
    protocol = protocol_of(entry)
    if protocol is None or protocol.name != PROTOCOL:
        return f"the database speaks {PROTOCOL}"
    return "" if entry.kind == "sql" else "only statements (kind sql) are sent through a live session"


def obtain(database: str, *, db_user: str, db_name: str, proxy: str) -> tuple[Profile, DatabaseLogin]:
    """The profile, and a certificate for *database*; a ConfigError when that is no PostgreSQL."""
    chosen = profile.current(proxy, now=utc(SystemClock()))
    profile.need_login(chosen)
    got = route.obtain(chosen, database, db_user=db_user, db_name=db_name)
    if got.route.protocol != PROTOCOL:
        raise ConfigError(f"--live sends PostgreSQL statements, and {database} speaks {got.route.protocol}")
    return chosen, got


def judge(
    entries: Iterable[Entry], chosen: Profile, got: DatabaseLogin, *, seconds: float = _SECONDS
) -> list[Result]:
    """What became of each entry; one that nothing is known of counts as otherwise.

    Raises:
        AccessError: no session is opened, or no transaction, without which nothing is sent.
        UnreachableError: the proxy does not answer.
    """
    clock: Clock = SystemClock()
    context = through.context(chosen, got)
    channel_name = REGISTRY[PROTOCOL].alpn[0]
    results = []
    for entry in entries:
        line = dial(chosen.proxy, context, channel_name, seconds, clock)
        try:
            results.append(_one(line, got, entry))
        finally:
            line.close()
    return results


def _one(line: Line, got: DatabaseLogin, entry: Entry) -> Result:
    try:
        line.start(got.route)
        begun = line.run(b"begin")
    except TimeoutError:
        raise AccessError(f"{got.route.database} opened no session in time") from None
    if begun.error or not begun.status:
        raise AccessError(
            f"no transaction begins on {got.route.database}: {begun.sentence or 'the connection ended'}",
            hint="what is let through would last; nothing more was sent",
        )
    text = entry.payload if isinstance(entry.payload, bytes) else entry.payload.encode()
    try:
        answer = line.run(text)
        if answer.status not in {"", IDLE}:
            line.run(b"rollback")
    except TimeoutError:
        return _unknown(entry, "there was no answer in time: nobody knows whether it ran")
    return read(entry, answer)


def read(entry: Entry, answer: Answer) -> Result:
    """What *answer* says about *entry*; what was understood is not compared, because no answer tells."""
    bare = replace(entry, expect={})
    is_refusal = bool(_DECISION.search(answer.sentence))
    if not answer.status and not is_refusal:
        return _unknown(entry, "the connection ended, and not by a decision: nobody knows whether it ran")
    if not answer.status:
        return result(bare, Ending(End.CLOSED, answer.sentence))
    if is_refusal and answer.code == INSUFFICIENT_PRIVILEGE:
        return result(bare, Ending(End.DENIED, answer.sentence))
    # The server's own words may quote rows: its code says enough.
    said = f"the server refused it ({answer.code}), after the policy allowed it" if answer.error else ""
    return result(bare, Ending(End.ALLOWED, said))


def _unknown(entry: Entry, sentence: str) -> Result:
    """Neither of the two: as wrong for an attack as for a control."""
    return Result(entry, Ending(End.HELD, sentence), (sentence,))
