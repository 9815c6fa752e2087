"""A story told with real commands: each step is shown as typed, run, and held to what must come of it."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

REGATE = Path(sys.executable).with_name("regate")
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


class StoryError(Exception):
    """A step did not do what it should."""


@dataclass(slots=True)
class Story:
    """Tells each step as it would be typed, runs it, and insists on what must come of it."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    steps: int = 0

    def chapter(self, title: str) -> None:
        """A heading."""
        print(f"\n{paint(title, '1;36')}")

    def run(
        self,
        *arguments: str | Path,
        who: Mapping[str, str] | None = None,
        stdin: str = "",
        expect: str = "",
        exit_code: int = 0,
        quiet: bool = False,
    ) -> str:
        """Run ``regate`` with *arguments*; StoryError unless it ends with *exit_code* and says *expect*."""
        self.steps += 1
        shown = shlex.join(["regate", *map(str, arguments)])
        print(paint(f"$ {shown}", "1"))
        done = subprocess.run(
            [str(REGATE), *map(str, arguments)],
            env={**os.environ, **self.environment, **(who or {})},
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        output = done.stdout + done.stderr
        if not quiet:
            print("".join(f"  {line}\n" for line in output.rstrip().splitlines()), end="")
        if done.returncode != exit_code:
            print(output)
            raise StoryError(f"{shown}: exit code {done.returncode}, expected {exit_code}")
        if expect not in output:
            print(output)
            raise StoryError(f"{shown}: expected {expect!r} in what it says")
        return done.stdout


def paint(text: str, code: str) -> str:
    """*text* in a colour, on a terminal."""
    return f"\x1b[{code}m{text}\x1b[0m" if COLOUR else text
