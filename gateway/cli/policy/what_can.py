"""``regate policy what-can``: everything that one user may do."""

import asyncio  # noqa: TID251
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import output
from gateway.cli.options import config_option, examples
from gateway.cli.policy.tables import show, source_option, table_format_option

if TYPE_CHECKING:
    from gateway.analysis.access import Access, Route
    from gateway.analysis.candidates import Candidates
    from gateway.analysis.world import World

_COLUMNS = ("database", "db_user", "db_name", "roles", "what")


@click.command(
    name="what-can",
    epilog=examples(
        "regate policy what-can alice",
        "regate policy what-can alice --policy=. --format=csv > alice.csv",
    ),
)
@click.argument("user")
@source_option
@table_format_option
@config_option
def what_can(user: str, source: str, form: str, config: str, proxy: str) -> None:
    """List what a user may do.

    For each way in: the roles that grant it, and every operation on every object that a role names; "(any
    other)" stands for every name that no role names. The text form says it in short, the others one by one.
    """
    from gateway.analysis.candidates import candidates  # noqa: PLC0415 # slow to import
    from gateway.cli.policy.sources import need_user, opened  # noqa: PLC0415

    with opened(source, config, proxy) as world:
        need_user(world, user, source)
        classes = candidates([world])
        with output.working("Asking about every database"):
            found = asyncio.run(_ask(world, user, classes))
    show(_rows(found, classes, in_short=form == "text"), _COLUMNS, form)


async def _ask(world: "World", user: str, classes: "Candidates") -> "Access":
    from gateway.cli.policy.asking import access, asking  # noqa: PLC0415 # slow to import

    async with asking(world) as asker:
        return await access(asker, classes, [user], world.databases())


def _rows(found: "Access", classes: "Candidates", *, in_short: bool) -> list[dict[str, Any]]:
    """One row for each way in; programs and auditors get every act, people what they come to."""
    from gateway.analysis.access import told  # noqa: PLC0415 # slow to import
    from gateway.analysis.summary import EVERYTHING, NOTHING, summary  # noqa: PLC0415

    def acts(route: "Route") -> list[str]:
        allowed = found.acts[route]
        if in_short:
            return summary(allowed, classes.acts)
        if len(allowed) == len(classes.acts):
            return [EVERYTHING]
        return sorted(act.text() for act in allowed) or [NOTHING]

    return [
        {
            "database": route.database,
            "db_user": told(route.db_user),
            "db_name": told(route.db_name),
            "roles": list(roles),
            "what": acts(route),
        }
        for route, roles in sorted(found.routes.items())
    ]
