"""Runs the ``opa`` program for a moment: to build, to check, to evaluate."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.errors import PolicyError

SECONDS = 60.0
_LAST = 4000  # characters of what it said


def run(opa: Path, *arguments: Any, cwd: Path | None = None, seconds: float = SECONDS) -> str:
    """What ``opa`` printed.

    Raises:
        PolicyError: it failed, with its own words (paths as they were given, so *cwd* keeps them short), or
            took longer than *seconds*.
    """
    done = attempt(opa, *arguments, cwd=cwd, seconds=seconds)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-_LAST:]
        raise PolicyError(f"opa {arguments[0]}: {said}")
    return done.stdout


def attempt(
    program: Path, *arguments: Any, cwd: Path | None = None, seconds: float = SECONDS
) -> subprocess.CompletedProcess[str]:
    """The same, whether it failed or not: for checks whose failure is their result."""
    command: Sequence[str] = [str(program), *map(str, arguments)]
    try:
        return subprocess.run(  # noqa: S603  # opa or regal, with arguments of our own
            command, cwd=cwd, capture_output=True, text=True, timeout=seconds, check=False
        )
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise PolicyError(f"{program} cannot be run: {reason}", hint="opa.path names the program") from error
    except subprocess.TimeoutExpired as error:
        raise PolicyError(f"{program.name} {arguments[0]} took longer than {seconds:g} s") from error
