"""What a cluster recorded, fetched to be judged again: decisions, and what they were asked."""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gateway.cli.client import Api

if TYPE_CHECKING:
    from gateway.analysis.replaying import Gathered, Kept

_DIGESTS = 500  # inputs asked for at once
_FETCHED_AT_ONCE = 2


def recorded(api: Api, since: str, until: str = "") -> "tuple[Gathered, Kept]":
    """The decisions of that time, and by log and digest what was kept of their inputs."""
    from gateway.analysis.replaying import KINDS, gather  # noqa: PLC0415 # slow to import

    query = {"since": since, "until": until, "order": "oldest", "kind": ",".join(KINDS)}
    found = gather(api.lines("/v1/audit", query))
    found.decisions = dict(sorted(found.decisions.items(), key=lambda item: item[1].time_ns))
    return found, _inputs(api, found)


def fetching(api: Api, since: str, until: str = "") -> "Future[tuple[Gathered, Kept]]":
    """The same beside what else there is to do. A command that is interrupted does not wait for it."""
    future: Future[tuple[Gathered, Kept]] = Future()
    future.set_running_or_notify_cancel()

    def fetch() -> None:
        try:
            future.set_result(recorded(api, since, until))
        except BaseException as error:  # noqa: BLE001 # it is raised where the result is awaited
            future.set_exception(error)

    threading.Thread(target=fetch, daemon=True).start()
    return future


def _inputs(api: Api, found: "Gathered") -> "Kept":
    """Some are fetched while others are read, which is what takes long with many."""
    wanted: dict[str, set[str]] = {}
    for past in found.decisions.values():
        if past.digest:
            wanted.setdefault(past.origin, set()).add(past.digest)
    kept: dict[tuple[str, str], Mapping[str, Any]] = {}
    todo: list[tuple[str, Sequence[str]]] = []
    for origin, digests in wanted.items():
        ordered = sorted(digests)
        todo += [(origin, ordered[start : start + _DIGESTS]) for start in range(0, len(ordered), _DIGESTS)]

    def fetch(one: tuple[str, Sequence[str]]) -> tuple[str, Mapping[str, Any]]:
        origin, digests = one
        return origin, api.post("/v1/evidence/inputs", {"digests": list(digests), "origin": origin})

    with ThreadPoolExecutor(_FETCHED_AT_ONCE) as pool:
        while todo:
            answers = pool.map(fetch, todo)
            todo = []
            for origin, answer in answers:
                kept |= {(origin, digest): value["input"] for digest, value in answer["inputs"].items()}
                if answer["rest"]:
                    todo.append((origin, answer["rest"]))
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
