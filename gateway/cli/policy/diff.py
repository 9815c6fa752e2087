"""``regate policy diff``: who gains and who loses what between two versions of the policies."""

import asyncio  # noqa: TID251
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import output
from gateway.cli.options import config_option, examples
from gateway.cli.policy.tables import spreadsheet
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from gateway.analysis.access import Access, Change
    from gateway.analysis.candidates import Candidates
    from gateway.analysis.world import World

_COLUMNS = ("change", "user", "database", "db_user", "db_name", "what", "roles")
_ONCE = "acts are judged once for each user, database and set of granting roles, as of now, from 127.0.0.1"
_MOST_ROWS = 200  # of a table in Markdown: a comment on a pull request has its limits


@click.command(
    epilog=examples(
        "regate policy diff live .",
        "regate policy diff origin/main . --format=markdown",
        "regate policy diff old.tar.gz new.tar.gz --format=json",
    )
)
@click.argument("old")
@click.argument("new")
@click.option("--user", "users", multiple=True, help="Only this user; may be given several times.")
@click.option(
    "--database", "databases", multiple=True, help="Only this database; may be given several times."
)
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(("text", "json", "yaml", "csv", "markdown")),
    default="text",
    show_default=True,
    help="How to print.",
)
@config_option
@click.pass_context
def diff(
    ctx: click.Context, old: str, new: str, users: tuple[str, ...], databases: tuple[str, ...], form: str,
    config: str, proxy: str,
) -> None:  # fmt: skip
    """Print who gains and who loses what between two versions of the policies.

    OLD and NEW are folders, bundles, revisions of git, or "live" for the cluster. Every user, database,
    database user and database name is asked about, and on each open route every operation on every object
    that a role names; one fresh name stands for all that no role names. Users, databases or roles that a
    version lacks are the other's. The exit code is 1 when anything widened, and 0 when nothing did.
    """
    from gateway.analysis.access import changes  # noqa: PLC0415 # slow to import
    from gateway.cli.policy.sources import completed, opened  # noqa: PLC0415

    with opened(old, config, proxy) as first, opened(new, config, proxy) as second:
        before, after = completed(first, second)
        with output.working("Asking both versions"):
            classes, has, gets = asyncio.run(_both(before, after, set(users), set(databases)))
    found = changes(has, gets)
    report = _report(found, classes, (len(has.routes), len(gets.routes)))
    _print(report, form)
    if report["widened"]:
        ctx.exit(1)


async def _both(
    before: "World", after: "World", users: set[str], databases: set[str]
) -> "tuple[Candidates, Access, Access]":
    from gateway.analysis.candidates import candidates  # noqa: PLC0415 # slow to import
    from gateway.cli.policy.asking import access, asking  # noqa: PLC0415

    classes = candidates([before, after])
    found = []
    for world in (before, after):
        people = sorted(user for user in world.users() if not users or user in users)
        places = {name: db for name, db in world.databases().items() if not databases or name in databases}
        if not people or not places:
            raise ConfigError(
                "there is nobody to ask about" if not people else "there is no database to ask about",
                hint="put users and databases into the repository's data folder, or compare with live",
            )
        async with asking(world) as asker:
            found.append(await access(asker, classes, people, places))
    return classes, found[0], found[1]


def _report(found: "Sequence[Change]", classes: "Candidates", open_routes: tuple[int, int]) -> dict[str, Any]:
    from gateway.analysis.access import told  # noqa: PLC0415 # slow to import

    rows = [
        {
            "change": "gains" if item.gains else "loses",
            "user": item.route.user,
            "database": item.route.database,
            "db_user": told(item.route.db_user),
            "db_name": told(item.route.db_name),
            "what": item.what,
            "roles": list(item.roles),
        }
        for item in found
    ]
    return {
        "widened": any(item.gains for item in found),
        "changes": rows,
        "open_routes": {"old": open_routes[0], "new": open_routes[1]},
        "not_enumerated": [
            *classes.not_listed,
            _ONCE,
        ],
    }


def _print(report: dict[str, Any], form: str) -> None:
    if form == "csv":
        click.echo(spreadsheet(_COLUMNS, report["changes"]), nl=False)
    elif form == "markdown":
        click.echo("\n".join(_markdown(report)))
    else:
        output.show(report, form, lambda: _say(report))


def _say(report: dict[str, Any]) -> None:
    for group, acts in _grouped(report["changes"]).items():
        change, user, database, db_user, db_name = group
        sign = "+" if change == "gains" else "-"
        where = f"{sign} {user} {change} on {database} as {db_user} to {db_name}:"
        click.echo(output.clean(f"{where} {', '.join(acts)}"))
    gains = sum(row["change"] == "gains" for row in report["changes"])
    click.echo(f"{gains} gained, {len(report['changes']) - gains} lost")
    for note in report["not_enumerated"]:
        click.echo(output.clean(f"not enumerated: {note}"), err=not sys.stdout.isatty())


def _grouped(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, ...], list[str]]:
    """What changed on each route, one line a route."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        key = tuple(str(row[name]) for name in _COLUMNS[:5])
        groups.setdefault(key, []).append(row["what"])
    return groups


def _markdown(report: dict[str, Any]) -> list[str]:
    groups = _grouped(report["changes"])
    gains = sum(row["change"] == "gains" for row in report["changes"])
    head = "**Access widens.**" if report["widened"] else "Nothing widens."
    lines = [f"### Access: {gains} gained, {len(report['changes']) - gains} lost", "", head, ""]
    if groups:
        lines += ["| | user | database | as | to | what |", "|---|---|---|---|---|---|"]
    for (change, *route), acts in list(groups.items())[:_MOST_ROWS]:
        cells = [change, *route, "<br>".join(acts)]
        lines.append("| " + " | ".join(_escaped(cell) for cell in cells) + " |")
    if len(groups) > _MOST_ROWS:
        lines.append(f"\nand {len(groups) - _MOST_ROWS} more routes")
    return [*lines, "", *(f"* not enumerated: {_escaped(note)}" for note in report["not_enumerated"])]


def _escaped(text: str) -> str:
    """Names come from other people: no new cells, no markup."""
    kept = output.clean(text).replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`")
    return kept.replace("<br>", "\0").replace("<", "&lt;").replace("\0", "<br>")
