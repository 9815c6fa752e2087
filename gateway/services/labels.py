"""Labels whose values commands print: asked at the start, and again when their period is over.

A database with such a label is enrolled once each of them has a value, never before: a rule that refuses by
a label must not overlook a database because a command failed. Afterwards a failing command keeps the last
value.
"""

import asyncio  # noqa: TID251
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from structlog.typing import FilteringBoundLogger

from gateway.config import DbService, DynamicLabel
from gateway.model.resource import Database

COMMAND_SECONDS = 10.0
MAX_VALUE = 1024  # characters, as a label in a resource may have
_AT_ONCE = 8
_MAX_OUTPUT = 8192

Changed = Callable[[Sequence[Database]], Awaitable[None]]


class DynamicLabels:
    """The databases of a file with the values that their labels have now."""

    def __init__(self, service: DbService, log: FilteringBoundLogger) -> None:
        self._service = service
        self._log = log
        self._values: dict[tuple[str, str], str] = {}
        self._running = asyncio.Semaphore(_AT_ONCE)

    def databases(self) -> list[Database]:
        """Those whose labels all have a value."""
        return [
            replace(database, labels={**database.labels, **self._labels(database.name)})
            for database in self._service.databases
            if all(
                (database.name, label.name) in self._values
                for label in self._service.dynamic_labels.get(database.name, ())
            )
        ]

    async def start(self) -> None:
        """Ask every command once."""
        async with asyncio.TaskGroup() as tasks:
            for database, labels in self._service.dynamic_labels.items():
                for label in labels:
                    tasks.create_task(self._ask(database, label))

    async def run(self, changed: Changed) -> None:
        """Ask each command in its period, for ever; *changed* is told the databases when a value is new."""
        async with asyncio.TaskGroup() as tasks:
            for database, labels in self._service.dynamic_labels.items():
                for label in labels:
                    tasks.create_task(self._repeat(database, label, changed))

    async def _repeat(self, database: str, label: DynamicLabel, changed: Changed) -> None:
        while True:
            await asyncio.sleep(label.period_seconds)
            if await self._ask(database, label):
                await changed(self.databases())

    async def _ask(self, database: str, label: DynamicLabel) -> bool:
        """Run one command; True when the value is new."""
        try:
            async with self._running:
                value = await _first_line(label.command)
        except (OSError, TimeoutError, ValueError) as error:
            reason = str(error) or f"it did not end within {COMMAND_SECONDS:g} s"
            kept = (database, label.name) in self._values
            outcome = "the last value stays" if kept else "the database is not enrolled yet"
            self._log.warning(
                "a dynamic label has no value",
                database=database,
                label=label.name,
                error=reason,
                outcome=outcome,
            )
            return False
        is_new = self._values.get((database, label.name)) != value
        self._values[database, label.name] = value
        return is_new

    def _labels(self, database: str) -> dict[str, str]:
        return {
            label.name: self._values[database, label.name]
            for label in self._service.dynamic_labels.get(database, ())
        }


async def _first_line(command: Sequence[str]) -> str:
    """What *command* prints first; OSError, TimeoutError or ValueError when there is nothing to use."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(COMMAND_SECONDS):
            output = b""
            while chunk := await process.stdout.read(_MAX_OUTPUT):  # all: a full pipe keeps it from ending
                output = (output + chunk)[:_MAX_OUTPUT]
            code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0:
        raise ValueError(f"{command[0]} ended with {code}")
    line = output.decode("utf-8").partition("\n")[0].strip()
    if not line or len(line) > MAX_VALUE or not line.isprintable():
        raise ValueError(f"{command[0]} printed no value of at most {MAX_VALUE} printable characters")
    return line
