"""``regate policy diff``: who gains and who loses what between two versions of the policies."""

import asyncio  # noqa: TID251
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import channel
from gateway.cli.audit import moment
from gateway.cli.options import config_option, examples
from gateway.cli.policy import diff_report
from gateway.cli.policy.past import progress, recorded
from gateway.errors import AccessError, ConfigError

if TYPE_CHECKING:
    from gateway.analysis.access import Access, Change
    from gateway.analysis.candidates import Candidates
    from gateway.analysis.judgements import Compared
    from gateway.analysis.world import World
    from gateway.cli.policy.comparing import Advance, Recorded
    from gateway.model.resource import Database

_ONCE = "acts are judged once for each user, database and set of granting roles, as of now, from 127.0.0.1"
_MADE_UP = (
    "statements are made up for tables that roles, masks, guards and filters name; recorded ones are exact"
)
_LONG_AGO = "30d"


@click.command(
    epilog=examples(
        "regate policy diff live .",
        "regate policy diff origin/main . --format=markdown",
        "regate policy diff live . --since=7d",
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
    "--since", type=moment, default=None, metavar="TIME",
    help="Judge what the cluster recorded since a time, or how long ago; 30d where one version is live.",
)  # fmt: skip
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
def diff(  # noqa: PLR0913, PLR0917 # each is an option or an argument, by its name
    ctx: click.Context, old: str, new: str, users: tuple[str, ...], databases: tuple[str, ...],
    since: str | None, form: str, config: str, proxy: str,
) -> None:  # fmt: skip
    """Print who gains and who loses what between two versions of the policies.

    OLD and NEW are folders, bundles, revisions of git, or "live" for the cluster. Every user, database,
    database user and database name is asked about, and on each open route every operation on every object
    that a role names; one fresh name stands for all that no role names. Beside "live" a version is what the
    cluster would have after its publication, for the cluster's users and databases. Of two repositories each
    has the other's roles, users or databases where it has none of its own.

    Both versions then judge statements, with their guards and obligations: what the cluster recorded, each
    as it was, and some that are made up. The exit code is 1 when anything widened, and 0 when nothing did.
    """
    from gateway.cli.policy.sources import completed, opened  # noqa: PLC0415 # slow to import

    with opened(old, config, proxy) as first, opened(new, config, proxy) as second:
        before, after = completed(first, second)
        past = _past(config, proxy, since, is_live=first.is_live or second.is_live)
        asked = _Asked(set(users), set(databases), past)
        with progress("Asking both versions") as advance:
            report = asyncio.run(_both(before, after, asked, advance))
    diff_report.show(report, form)
    if report["widened"]:
        ctx.exit(1)


@dataclass(frozen=True, slots=True)
class _Asked:
    """About whom and what: of all users and databases where none are named."""

    users: set[str]
    databases: set[str]
    past: "Recorded"

    def people(self, world: "World") -> list[str]:
        return sorted(user for user in world.users() if not self.users or user in self.users)

    def places(self, world: "World") -> "dict[str, Database]":
        found = world.databases()
        return {name: db for name, db in found.items() if not self.databases or name in self.databases}


def _past(config: str, proxy: str, since: str | None, *, is_live: bool) -> "Recorded":
    """What the cluster recorded; nothing where no cluster is asked, or where it need not be and cannot."""
    from gateway.cli.policy.comparing import Recorded  # noqa: PLC0415 # slow to import

    if since is None and not is_live:
        return Recorded(missing="no recorded statements: ask a cluster for them with --since")
    try:
        found, kept = recorded(channel.admin(config, proxy), since or moment(_LONG_AGO))
    except AccessError as error:
        if since is not None:
            raise
        return Recorded(missing=f"no recorded statements: {error}")
    missing = "" if found.decisions else "no recorded statements: nothing was recorded in that time"
    return Recorded(found, kept, missing)


async def _both(before: "World", after: "World", asked: _Asked, advance: "Advance") -> dict[str, Any]:
    from gateway.analysis.candidates import candidates  # noqa: PLC0415 # slow to import
    from gateway.analysis.samples import samples  # noqa: PLC0415
    from gateway.cli.policy import comparing  # noqa: PLC0415
    from gateway.cli.policy.asking import access, asking  # noqa: PLC0415

    classes = candidates([before, after])
    texts = samples([before, after], classes)
    past = asked.past.of(asked.users, asked.databases)
    found, again, invented = [], [], []
    for world in (before, after):
        people, places = asked.people(world), asked.places(world)
        if not people or not places:
            raise ConfigError(
                "there is nobody to ask about" if not people else "there is no database to ask about",
                hint="put users and databases into the repository's data folder, or compare with live",
            )
        async with asking(world) as asker:
            found.append(await access(asker, classes, people, places))
            again.append(await comparing.again(asker, past, advance))
            invented.append(await comparing.made_up(asker, found[-1], texts))
    statements = comparing.compared(past, (again[0], again[1]), texts, (invented[0], invented[1]))
    return _report(found, classes, statements, past, sum(key in again[1] for key in again[0]))


def _report(
    found: "Sequence[Access]", classes: "Candidates", statements: "Sequence[Compared]", past: "Recorded",
    judged: int,
) -> dict[str, Any]:  # fmt: skip
    from gateway.analysis import judgements  # noqa: PLC0415 # slow to import
    from gateway.analysis.access import changes  # noqa: PLC0415

    acts = changes(*found)
    widened = any(item.gains for item in acts) or any(item.kind in judgements.WIDENS for item in statements)
    return {
        "widened": widened,
        "changes": [_row(item) for item in acts],
        "statements": {"recorded": judged, "changes": list(judgements.rows(statements))},
        "open_routes": {"old": len(found[0].routes), "new": len(found[1].routes)},
        "not_enumerated": [*classes.not_listed, _ONCE, past.missing or _MADE_UP],
    }


def _row(item: "Change") -> dict[str, Any]:
    from gateway.analysis.access import told  # noqa: PLC0415 # slow to import

    return {
        "change": "gains" if item.gains else "loses",
        "user": item.route.user,
        "database": item.route.database,
        "db_user": told(item.route.db_user),
        "db_name": told(item.route.db_name),
        "what": item.what,
        "roles": list(item.roles),
    }
