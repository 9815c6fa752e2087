"""Sends the entries of a corpus through sessions of one's own, and reads what became of each.

Each gets a session of its own, so that none sees what another left behind, and where the protocol has them
a transaction that is rolled back; what an allowed entry does outside of it (COMMIT, COPY to a program, a
command of MongoDB's) stays.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from gateway.analysis.corpus import Entry, not_judged, speaks
from gateway.analysis.expectation import Result, result
from gateway.cli import profile, route, through
from gateway.cli.live.answer import Answer, Sender
from gateway.cli.live.channel import dial
from gateway.cli.live.senders import SENDERS
from gateway.cli.profile import DatabaseLogin, Profile
from gateway.clock import Clock, SystemClock, utc
from gateway.errors import AccessError, ConfigError
from gateway.protocols import REGISTRY
from gateway.sansio.rehearsal import End, Ending

_SECONDS: Final = 30.0


def not_sent(entry: Entry, spoken: str) -> str:
    """Why *entry* is not judged live by a database that speaks *spoken*; empty when it is."""
    why = not_judged(entry)
    if why:
        return why
    live = SENDERS[spoken]
    if not speaks(entry, spoken):
        return f"the database speaks {spoken}"
    if entry.kind not in live.kinds:
        return f"only entries of kind {' and '.join(live.kinds)} are sent through a live session"
    return live.unsent(entry.payload)


def obtain(database: str, *, db_user: str, db_name: str, proxy: str) -> tuple[Profile, DatabaseLogin]:
    """The profile, and a certificate for *database*; a ConfigError where nobody can send to it."""
    chosen = profile.current(proxy, now=utc(SystemClock()))
    profile.need_login(chosen)
    got = route.obtain(chosen, database, db_user=db_user, db_name=db_name)
    if got.route.protocol not in SENDERS:
        raise ConfigError(f"--live sends nothing to {database}, which speaks {got.route.protocol}")
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
    spoken = got.route.protocol
    results = []
    for entry in entries:
        channel = dial(chosen.proxy, context, REGISTRY[spoken].alpn[0], seconds, clock)
        sender = SENDERS[spoken].made(channel)
        try:
            results.append(_one(sender, got, entry))
        finally:
            sender.close()
    return results


def _one(sender: Sender, got: DatabaseLogin, entry: Entry) -> Result:
    try:
        sender.open(got.route)
    except TimeoutError:
        raise AccessError(f"{got.route.database} opened no session in time") from None
    try:
        return read(entry, sender.send(entry.payload))
    except TimeoutError:
        return _unknown(entry, "there was no answer in time: nobody knows whether it ran")


def read(entry: Entry, answer: Answer) -> Result:
    """What *answer* says about *entry*; what was understood is not compared, because no answer tells."""
    bare = replace(entry, expect={})
    if not answer.lives and not answer.names_decision:
        return _unknown(entry, "the connection ended, and not by a decision: nobody knows whether it ran")
    if not answer.lives:
        return result(bare, Ending(End.CLOSED, answer.sentence))
    if answer.is_refusal:
        return result(bare, Ending(End.DENIED, answer.sentence))
    # The server's own words may quote rows: its code says enough.
    said = f"the server refused it ({answer.code}), after the policy allowed it" if answer.code else ""
    return result(bare, Ending(End.ALLOWED, said))


def _unknown(entry: Entry, sentence: str) -> Result:
    """Neither of the two: as wrong for an attack as for a control."""
    return Result(entry, Ending(End.HELD, sentence), (sentence,))
