"""Classification at the edge: short texts inline, long or deep ones in a process that can be killed (R4).

The process only fills the parse cache; names are resolved here, so both ways give the same facts.
"""

import asyncio  # noqa: TID251
import ctypes
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import Any, Self

from gateway.classify import sql
from gateway.model.statement import Statement
from gateway.sansio.exchange import Facts, Request
from gateway.sansio.protocol import Protocol

PARSE_SECONDS = 0.25  # of processor time, up to a kibibyte of text; short time bombs are caught before, by R3
PARSE_SECONDS_PER_KIB = 0.002
WAIT_FACTOR = 8  # so many times as long by the clock, where a machine is busy with other things
_TICK = 0.01  # seconds, so that clocks which differ a little do not make it look twice
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
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, mp_context=spawn, initializer=_belong_to, initargs=(os.getpid(),))
        self._worker = await asyncio.get_running_loop().run_in_executor(self._pool, _ready)

    async def close(self) -> None:
        """End the parsing process."""
        await self._end()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

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
            reading = loop.run_in_executor(self._pool, sql.parse_uncached, text, dialect, version, modes)
            try:
                parsed = await _within(limit, reading, self._worker)
            except (OSError, BrokenProcessPool):  # it took too long, or has ended
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


async def _within(limit: float, reading: "asyncio.Future[Any]", pid: int) -> Any:
    """What the process *pid* finds in *limit* seconds of its processor time; OSError where it does not."""
    loop = asyncio.get_running_loop()
    used, until = _processor_seconds(pid), loop.time() + WAIT_FACTOR * limit
    try:
        while not reading.done():
            left = min(used + limit - _processor_seconds(pid), until - loop.time())
            if left <= 0:
                raise TimeoutError
            await asyncio.wait((reading,), timeout=left + _TICK)
        return reading.result()
    finally:
        reading.cancel()


def _processor_seconds(pid: int) -> float:
    """What a process has used of the processor, by clock_getcpuclockid(3); OSError when there is none."""
    clock = ctypes.c_int()
    error = ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock))
    if error:
        raise OSError(error, os.strerror(error))
    return time.clock_gettime(clock.value)


def _belong_to(service: int) -> None:
    """Outlive neither a service that is killed, nor one that was before this process had begun."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which ends this process itself
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != service:
        os._exit(1)


def _ready() -> int:
    sql.parse_uncached("SELECT 1", "postgres")
    return os.getpid()
