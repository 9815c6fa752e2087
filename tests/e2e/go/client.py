"""go-sql-driver as a client: one session is one run of ``main.go``, which is built once."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.servers import gobuild


@dataclass(frozen=True, slots=True)
class Answer:
    """What one command gave: rows as text, or the server's number and a message."""

    rows: str = ""
    number: int = 0
    message: str = ""


def session(address: str, commands: Sequence[str], files: Mapping[str, Path] | None = None) -> list[Answer]:
    """The answers to *commands* over one connection; *files* are CA, CERT and KEY of one with TLS."""
    shown = {name: str(path) for name, path in (files or {}).items()}
    done = subprocess.run(
        [gobuild.program("gosqldriver", Path(__file__).parent), address],
        input="\n".join(commands) + "\n", env={"PATH": os.environ["PATH"], **shown},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return [_answer(line) for line in done.stdout.splitlines()]


def _answer(line: str) -> Answer:
    word, _, rest = line.partition("\t")
    if word == "ok":
        return Answer(rest)
    number, _, message = rest.partition("\t")
    return Answer("", int(number), message)
