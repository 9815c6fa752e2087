"""Labels that commands print: when a database has them, and what a failing command changes."""

import asyncio
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import structlog

from gateway.config import DbService, DynamicLabel
from gateway.model.resource import Database
from gateway.services import labels
from gateway.services.labels import DynamicLabels
from tests.e2e.cluster import is_alive

PLAIN = Database("plain", "postgres", "localhost:1", labels={"env": "dev"})
ZONED = Database("zoned", "postgres", "localhost:2", labels={"env": "dev"})


def script(folder: Path, text: str) -> str:
    path = folder / "label.sh"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(stat.S_IRWXU)
    return str(path)


def made(*command: str, period: float = 0.05) -> DynamicLabels:
    service = DbService(
        databases=(PLAIN, ZONED), dynamic_labels={"zoned": (DynamicLabel("zone", command, period),)}
    )
    return DynamicLabels(service, structlog.get_logger("test"))


def shown(databases: Sequence[Database]) -> dict[str, Mapping[str, str]]:
    return {database.name: database.labels for database in databases}


async def test_the_first_line_is_the_value(tmp_path: Path) -> None:
    known = made(script(tmp_path, 'echo "  $1 b "; echo more'), "a")
    assert shown(known.databases()) == {"plain": {"env": "dev"}}
    await known.start()
    assert shown(known.databases()) == {"plain": {"env": "dev"}, "zoned": {"env": "dev", "zone": "a b"}}


@pytest.mark.parametrize(
    "text",
    [
        "exit 3",
        "echo a; exit 1",
        "true",
        "echo",
        "printf 'a\\033[0m'",
        "printf '\\377'",
        "head -c 2000 /dev/zero | tr '\\0' x",
    ],
)
async def test_without_a_usable_value_the_database_is_not_enrolled(tmp_path: Path, text: str) -> None:
    known = made(script(tmp_path, text))
    await known.start()
    assert shown(known.databases()) == {"plain": {"env": "dev"}}


async def test_a_program_that_is_missing_stops_nothing_else() -> None:
    known = made("/nowhere/at/all")
    await known.start()
    assert list(shown(known.databases())) == ["plain"]


async def test_a_command_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = made(script(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60"))
    pid = tmp_path / "pid"
    for seconds in (0.2, 2.0, 9.0):  # a busy machine may not even have begun it when it is ended
        monkeypatch.setattr(labels, "COMMAND_SECONDS", seconds)
        await asyncio.wait_for(known.start(), 30)
        assert list(shown(known.databases())) == ["plain"]
        if pid.exists() and pid.read_text():
            break
    assert not is_alive(int(pid.read_text()))


async def test_a_lot_of_output_does_not_block(tmp_path: Path) -> None:
    known = made(script(tmp_path, "echo first; head -c 1000000 /dev/zero"))
    await asyncio.wait_for(known.start(), 30)
    assert shown(known.databases())["zoned"]["zone"] == "first"


async def test_a_new_value_is_told_and_a_failure_keeps_the_last(tmp_path: Path) -> None:
    value = tmp_path / "value"
    value.write_text("one\n")
    known = made(script(tmp_path, f"cat {value}"))
    await known.start()
    told: asyncio.Queue[dict[str, Mapping[str, str]]] = asyncio.Queue()

    async def changed(databases: Sequence[Database]) -> None:
        await told.put(shown(databases))

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(known.run(changed))
        value.write_text("two\n")
        news = await asyncio.wait_for(told.get(), 30)
        assert news["zoned"]["zone"] == "two"
        value.unlink()
        await asyncio.sleep(0.3)
        assert told.empty()
        assert shown(known.databases())["zoned"]["zone"] == "two"
        running.cancel()
