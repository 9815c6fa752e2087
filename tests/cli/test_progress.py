"""What long commands say meanwhile: on a terminal how far they are, and elsewhere nothing."""

import os
import pty
import subprocess
import sys

import pytest

# Ends when how far it is was asked a second time: then the first answer has been shown.
WORKING = """
import sys, threading
from gateway.cli import output
asked, again = threading.Event(), threading.Event()
def how_far():
    (again if asked.is_set() else asked).set()
    return "(5 of 9 roles prepared)"
with output.working("Publishing", how_far):
    assert not sys.stderr.isatty() or again.wait(60)
"""
JUDGING = """
from gateway.cli.policy.past import progress
with progress("Judging again") as advance:
    advance(250, 1000)
"""


def said(program: str, *, terminal: bool) -> str:
    """What *program* writes to its standard error."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    ) as running:
        os.close(theirs)
        found = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # a terminal whose other end is closed
                break
            if not piece:
                break
            found += piece
    os.close(ours)
    assert running.returncode == 0, found
    return found.decode()


@pytest.mark.parametrize(
    ("program", "shown"),
    [(WORKING, "Publishing (5 of 9 roles prepared)"), (JUDGING, "250/1000")],
)
def test_progress_is_shown_on_a_terminal_and_nowhere_else(program: str, shown: str) -> None:
    assert shown in said(program, terminal=True)
    assert said(program, terminal=False) == ""
