"""A process that records under many writers and says what was acknowledged, until it is killed.

Started by test_crash.py with the log's directory and a descriptor to write acknowledged ids to.
"""

import asyncio
import os
import sys
from pathlib import Path

import uvloop

from gateway.audit.writer import Timing
from tests.audit.rig import end, opened, query

WRITERS = 16


async def main(directory: Path, out: int) -> None:
    async with opened(
        directory, segment_bytes=100_000, timing=Timing(checkpoint_seconds=0.02, checkpoint_events=200)
    ) as log:
        os.write(out, b"ready\n")

        async def writer(number: int) -> None:
            while True:
                statement = query(f"s{number}", filler="x" * (number * 100))
                await log.append([statement])
                os.write(out, f"{statement.id}\n".encode())
                log.post(end(statement))

        async with asyncio.TaskGroup() as group:
            for number in range(WRITERS):
                group.create_task(writer(number))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(Path(sys.argv[1]), int(sys.argv[2])))
