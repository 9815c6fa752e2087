"""``regate holds``: statements that wait for a second person."""

from collections.abc import Mapping
from typing import Any

import click

from gateway.cli import channel, output
from gateway.cli.client import segment
from gateway.cli.options import config_option, examples, format_option
from gateway.clock import SystemClock, utc

_NARROW = 80  # characters of a statement that a line shows


@click.group()
def holds() -> None:
    """Statements that wait for a second person."""


@holds.command(epilog=examples("regate holds ls", "regate holds ls --format=json"))
@format_option
@config_option
def ls(form: str, config: str, proxy: str) -> None:
    """List the statements that wait now, the oldest first."""
    found = channel.admin(config, proxy).get("/v1/holds")["holds"]
    headings = ("Id", "User", "Database", "Time left", "Statement")
    output.show(found, form, lambda: output.table(headings, map(_row, found)))


@holds.command(epilog=examples("regate holds show 01M82HXZ13X74CMNH9XK1Q43NH"))
@click.argument("hold_id", metavar="ID")
@format_option
@config_option
def show(hold_id: str, form: str, config: str, proxy: str) -> None:
    """Show one that waits, with all of its statements."""
    found = channel.admin(config, proxy).get(f"/v1/holds/{segment(hold_id)}")
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
    found = channel.admin(config, proxy).post(f"/v1/holds/{segment(hold_id)}/{verb}", {})
    user, database = output.clean(found["user"]), output.clean(found["database"])
    click.echo(f"The statement of {user} on {database} has been {done}")


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
