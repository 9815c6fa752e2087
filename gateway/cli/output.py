"""What a command prints: one value as text, JSON or YAML; control characters never reach a terminal."""

import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click

FORMATS = ("text", "json", "yaml")


def show(value: Any, form: str, text: Callable[[], None]) -> None:
    """Print *value* as JSON or YAML, or let *text* print it for people."""
    if form == "json":
        click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))
    elif form == "yaml":
        import yaml  # noqa: PLC0415 # only this format needs it

        click.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True).rstrip("\n"))
    else:
        text()


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table as wide as it needs to be when piped, and as the terminal is when there is one."""
    cells = [[clean(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        _plain_table(headings, cells)
        return
    from rich import box  # noqa: PLC0415 # only a terminal needs rich
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for heading in headings:
        made.add_column(heading, overflow="fold")
    for row in cells:
        made.add_row(*(Text(cell) for cell in row))
    Console().print(made)


def clean(text: str) -> str:
    """*text* without anything that could steer a terminal: names and labels come from other people."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


@contextmanager
def working(what: str, how_far: Callable[[], str] | None = None) -> Iterator[None]:
    """Say on a terminal that something is going on, for as long as it does.

    *how_far* is asked every second, by a thread of its own, for what to say behind *what*.
    """
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 # only a terminal needs rich

    over = threading.Event()
    with Console(stderr=True).status(what) as shown:

        def follow(ask: Callable[[], str]) -> None:
            while not over.wait(1.0):
                shown.update(f"{what} {ask()}".rstrip())

        if how_far is not None:
            threading.Thread(target=follow, args=[how_far], daemon=True).start()
        try:
            yield
        finally:
            over.set()


def labels(value: Mapping[str, str]) -> str:
    """``env=prod,team=platform``."""
    return ",".join(f"{name}={value[name]}" for name in sorted(value))


def until(end: datetime, now: datetime) -> str:
    """``2026-01-01 12:00:00 UTC [valid for 7h59m]``."""
    seconds = max(0, round((end - now).total_seconds()))
    minutes = round(seconds / 60)
    left = f"{minutes}m" if seconds >= 60 else f"{seconds}s"
    if minutes >= 60:
        left = f"{minutes // 60}h{minutes % 60:02d}m"
    return f"{end:%Y-%m-%d %H:%M:%S} UTC [valid for {left}]"


def moment(text: str) -> datetime:
    """A time as the API writes it."""
    return datetime.fromisoformat(text)


def _plain_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in (headings, ["-" * width for width in widths], *rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())
