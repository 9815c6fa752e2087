"""What a cluster recorded, fetched to be judged again: decisions, and what they were asked."""

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gateway.cli.client import Api

if TYPE_CHECKING:
    from gateway.analysis.replaying import Gathered

_DIGESTS = 500  # inputs asked for at once


def recorded(api: Api, since: str, until: str = "") -> "tuple[Gathered, dict[str, Mapping[str, Any]]]":
    """The decisions of that time, and by digest what was kept of their inputs."""
    from gateway.analysis.replaying import KINDS, gather  # noqa: PLC0415 # slow to import

    query = {"since": since, "until": until, "order": "oldest"}
    streams = [api.lines("/v1/audit", {**query, "kind": kind}) for kind in KINDS]
    found = gather(sorted(itertools.chain(*streams), key=lambda record: str(record["time"])))
    return found, _inputs(api, found)


def _inputs(api: Api, found: "Gathered") -> dict[str, Mapping[str, Any]]:
    digests = sorted({past.digest for past in found.decisions.values() if past.digest})
    kept: dict[str, Mapping[str, Any]] = {}
    todo = [digests[start : start + _DIGESTS] for start in range(0, len(digests), _DIGESTS)]
    while todo:
        answer = api.post("/v1/evidence/inputs", {"digests": todo.pop()})
        kept |= {digest: value["input"] for digest, value in answer["inputs"].items()}
        if answer["rest"]:
            todo.append(answer["rest"])
    return kept


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], object]]:
    """A bar on a terminal: ``advance(done, of)``."""
    if not sys.stderr.isatty():
        yield lambda _done, _of: None
        return
    from rich.console import Console  # noqa: PLC0415 # only a terminal needs rich
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
