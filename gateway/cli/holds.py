"""``regate holds``: statements that wait for a second person."""

from collections.abc import Callable, Mapping
from typing import Any

import click

from gateway.cli import channel, output
from gateway.cli.client import Api, segment
from gateway.cli.failures import TrustError, UnreachableError
from gateway.cli.options import config_option, examples, format_option
from gateway.clock import SystemClock, utc
from gateway.errors import NotFoundError, RegateError

_NARROW = 80  # characters of a statement that a line shows


@click.group()
def holds() -> None:
    """Statements that wait for a second person."""


@holds.command(epilog=examples("regate holds ls", "regate holds ls --format=json"))
@format_option
@config_option
def ls(form: str, config: str, proxy: str) -> None:
    """List the statements that wait now, the oldest first, at all nodes that the login knows."""
    listed: dict[str, Any] = {}  # two addresses may be one node's
    for answer in _asked(config, proxy, lambda api: api.get("/v1/holds")["holds"]):
        listed |= {item["id"]: item for item in answer}
    found = sorted(listed.values(), key=lambda item: item["asked"])
    headings = ("Id", "User", "Database", "Time left", "Statement")
    output.show(found, form, lambda: output.table(headings, map(_row, found)))


@holds.command(epilog=examples("regate holds show 01M82HXZ13X74CMNH9XK1Q43NH"))
@click.argument("hold_id", metavar="ID")
@format_option
@config_option
def show(hold_id: str, form: str, config: str, proxy: str) -> None:
    """Show one that waits, with all of its statements."""
    (found,) = _asked(config, proxy, lambda api: api.get(f"/v1/holds/{segment(hold_id)}"), first=True)
    output.show(found, form, lambda: _print(found))


@holds.command(epilog=examples("regate holds approve 01M82HXZ13X74CMNH9XK1Q43NH"))
@click.argument("hold_id", metavar="ID")
@config_option
def approve(hold_id: str, config: str, proxy: str) -> None:
    """Let it run; the policy is asked once more before it does."""
    _answer(hold_id, "approve", "let go", config, proxy)


@holds.command(epilog=examples("regate holds deny 01M82HXZ13X74CMNH9XK1Q43NH"))
@click.argument("hold_id", metavar="ID")
@config_option
def deny(hold_id: str, config: str, proxy: str) -> None:
    """Refuse it; whoever asked is told who did."""
    _answer(hold_id, "deny", "refused", config, proxy)


def _answer(hold_id: str, verb: str, done: str, config: str, proxy: str) -> None:
    path = f"/v1/holds/{segment(hold_id)}/{verb}"
    (found,) = _asked(config, proxy, lambda api: api.post(path, {}), first=True)
    user, database = output.clean(found["user"]), output.clean(found["database"])
    click.echo(f"The statement of {user} on {database} has been {done}")


def _asked(config: str, proxy: str, ask: Callable[[Api], Any], *, first: bool = False) -> list[Any]:
    """What the nodes answer; with *first* it is one answer, of the node where the statement waits.

    A statement waits where its session is. A node that cannot be reached is told of, unless none answered.
    """
    answers: list[Any] = []
    failures: list[RegateError] = []
    unknown: list[RegateError] = []
    for api in channel.every(config, proxy):
        try:
            answers.append(ask(api))
        except (UnreachableError, TrustError) as error:
            failures.append(error)
        except NotFoundError as error:
            unknown.append(error)
        if answers and first:
            return answers
    if not answers:
        raise (unknown + failures)[0]
    for failure in failures:
        click.echo(f"note: {failure}: what waits there is not listed", err=True)
    return answers


def _row(item: Mapping[str, Any]) -> tuple[str, ...]:
    left = output.until(output.moment(item["expires"]), utc(SystemClock()))
    return (item["id"], item["user"], item["database"], left, "; ".join(item["statements"])[:_NARROW])


def _print(item: Mapping[str, Any]) -> None:
    for label, key in (
        ("Id", "id"),
        ("User", "user"),
        ("Database", "database"),
        ("Database user", "db_user"),
        ("Database name", "db_name"),
        ("Session", "session_id"),
        ("Reason", "reason"),
        ("Asked", "asked"),
        ("Expires", "expires"),
    ):
        click.echo(f"{label + ':':<15}{output.clean(item[key])}")
    for statement in item["statements"]:
        click.echo(f"\n{output.clean(statement)}")
