"""Killed with -9 under sixteen writers: what was acknowledged is there, once, and the log is whole."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.model.event import Kind
from tests.audit.rig import audit, opened, read

ROOT = Path(__file__).resolve().parents[2]


def killed(directory: Path, seconds: float) -> list[str]:
    """Run the child for so long after it is ready, kill it, return the ids that it acknowledged."""
    source, sink = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.audit.crash_child", str(directory), str(sink)],
        pass_fds=[sink],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    os.close(sink)
    lines = b""
    try:
        with os.fdopen(source, "rb") as stream:
            assert stream.readline() == b"ready\n"
            os.set_blocking(stream.fileno(), False)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:  # the pipe must not fill up, or the child waits
                lines += stream.read() or b""
                time.sleep(0.002)
            child.send_signal(signal.SIGKILL)
            assert child.wait(10) == -signal.SIGKILL
            os.set_blocking(stream.fileno(), True)
            lines += stream.read()
    finally:
        if child.poll() is None:
            child.kill()
            child.wait(10)
    whole, _, _ = lines.rpartition(b"\n")
    return whole.decode().split("\n")


async def survive(directory: Path, rounds: int, seed: int) -> None:
    rng = random.Random(seed)
    acknowledged: list[str] = []
    for _ in range(rounds):
        acknowledged += killed(directory, rng.uniform(0.0, 0.25))
        before = audit(directory)
        assert before.ok, before.findings
        assert sum(item.warning for item in before.findings) <= 1  # at most one torn record at the end
        async with opened(directory, segment_bytes=100_000):
            pass
        after = audit(directory)
        assert after.ok, after.findings
        assert not after.findings
    events = [record.event for record in read(directory)]
    indices = [record.index for record in read(directory)]
    assert indices == list(range(len(indices)))
    ids = [item.id for item in events]
    assert len(ids) == len(set(ids))
    assert set(filter(None, acknowledged)) <= set(ids)
    assert len(acknowledged) > rounds
    asked = [item.id for item in events if item.kind is Kind.SESSION_QUERY]
    ended = [item.fields["query_id"] for item in events if item.kind is Kind.SESSION_QUERY_END]
    assert sorted(asked) == sorted(ended)


async def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    await survive(tmp_path / "audit", 6, seed=6)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", range(20))
async def test_a_thousand_kills_lose_nothing(tmp_path: Path, seed: int) -> None:
    await survive(tmp_path / "audit", 50, seed=seed)
