"""Statements that wait at a service by itself: the auth service shows them, and has the answers.

The service goes on waiting, and its own time limit holds, when the auth service does not answer; it is asked
again until then.
"""

import asyncio  # noqa: TID251
from dataclasses import replace

from structlog.typing import FilteringBoundLogger

from gateway.errors import AccessError, RegateError
from gateway.model.hold import Answer, Held
from gateway.session.hold import Holds
from gateway.tunnel.remote import Remote

AGAIN_SECONDS = 1.0
MOST_SHOWN = 16 * 1024
"""Characters of a statement, and of all statements of one hold, that are shown to whoever answers."""


class RemoteHolds(Holds):
    """The statements that wait here, each shown at the auth service for as long as it waits."""

    def __init__(self, remote: Remote, log: FilteringBoundLogger) -> None:
        super().__init__()
        self._remote = remote
        self._log = log

    async def wait(self, held: Held, seconds: float) -> tuple[Answer, str]:
        """The answer, and who gave it."""
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(self._ask(held))
            try:
                return await super().wait(held, seconds)
            finally:
                asking.cancel()

    async def _ask(self, held: Held) -> None:
        """Ask until there is an answer; what stands in the way is said, and no answer."""
        while True:
            try:
                answer, who = await self._remote.hold(_shown(held))
            except AccessError as error:
                self._log.warning("nobody can answer a hold", hold_id=held.id, error=str(error))
                return
            except RegateError as error:
                self._log.warning("a hold is not shown yet", hold_id=held.id, error=str(error))
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                self.answer(held.id, answer, who)
                return


def _shown(held: Held) -> Held:
    """What fits into a request: long statements by their beginning, and it says that there is more."""
    left, texts = MOST_SHOWN, list[str]()
    for number, text in enumerate(held.statements):
        if left <= 0:
            texts.append(f"… and {len(held.statements) - number} more")
            break
        texts.append(text if len(text) <= left else f"{text[:left]} …")
        left -= len(text)
    return replace(held, statements=tuple(texts))
