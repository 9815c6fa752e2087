"""Classification at the edge: short texts inline, long or deep ones in a process that can be killed (R4).

The process only fills the parse cache; names are resolved here, so both ways give the same facts.
"""

import asyncio  # noqa: TID251
import ctypes
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress

from gateway.classify import sql
from gateway.model.statement import Statement
from gateway.sansio.protocol import Facts, Protocol, Request

PARSE_SECONDS = 0.25  # the wall limit of a text up to a kibibyte; short time bombs are caught before, by R3
PARSE_SECONDS_PER_KIB = 0.002
_END_SECONDS = 2.0
_PR_SET_PDEATHSIG = 1  # prctl(2)


class Classifier:
    """Turns requests into facts without ever holding up the event loop for long."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._worker = 0

    async def start(self) -> None:
        """Start the parsing process, so that the first long statement does not wait for its imports."""
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        self._worker = await asyncio.get_running_loop().run_in_executor(self._pool, _ready)

    async def close(self) -> None:
        """End the parsing process."""
        await self._end()

    def now(self, protocol: Protocol, request: Request) -> Facts | None:
        """The facts at once, or None when a text is so long or deep that ``later`` must be awaited."""
        facts: Facts = ()
        for statement in request.statements:
            if sql.needs_pool(statement.text):
                return None
            facts = protocol.classify(statement) if not facts else facts + protocol.classify(statement)
        return facts

    async def later(self, protocol: Protocol, request: Request) -> Facts:
        """The facts of long or deep texts."""
        facts: Facts = ()
        for statement in request.statements:
            if sql.needs_pool(statement.text):
                await self._parse(statement)  # the protocol then finds it read
            facts += protocol.classify(statement)
        return facts

    async def _parse(self, statement: Statement) -> None:
        """Read in the process; a text that takes too long is not understood, now and the next time."""
        text, dialect, version = statement.text, statement.dialect, statement.server_version
        modes = statement.modes
        if sql.is_remembered(text, dialect, version, modes):
            return
        limit = PARSE_SECONDS + PARSE_SECONDS_PER_KIB * len(text) / 1024
        async with self._turn:
            if self._pool is None:
                await self.start()
            loop = asyncio.get_running_loop()
            try:
                async with asyncio.timeout(limit):
                    parsed = await loop.run_in_executor(
                        self._pool, sql.parse_uncached, text, dialect, version, modes
                    )
            except (TimeoutError, BrokenProcessPool):
                await self._end()
                parsed = sql.not_parsed(text, dialect)
            sql.remember(text, dialect, version, parsed, modes)

    async def _end(self) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        with suppress(ProcessLookupError):
            os.kill(self._worker, signal.SIGKILL)
        # shutdown(wait=True) can hang before Python 3.11.5; typeshed takes this for something else.
        thread: threading.Thread | None = pool._executor_manager_thread  # type: ignore[assignment] # noqa: SLF001
        pool.shutdown(wait=False, cancel_futures=True)
        if thread is not None:  # an interpreter that ends in the middle of its end complains on stderr
            await asyncio.to_thread(thread.join, _END_SECONDS)


def _ready() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which ends this process itself
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # nor does it outlive a service that is killed
    sql.parse_uncached("SELECT 1", "postgres")
    return os.getpid()
