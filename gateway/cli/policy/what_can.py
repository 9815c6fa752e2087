"""``regate policy what-can``: everything that one user may do."""

import asyncio  # noqa: TID251
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import output
from gateway.cli.options import config_option, examples
from gateway.cli.policy.tables import show, source_option, table_format_option
from gateway.errors import NotFoundError

if TYPE_CHECKING:
    from gateway.analysis.access import Access
    from gateway.analysis.candidates import Act, Candidates
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
    other)" stands for every name that no role names.
    """
    from gateway.analysis.candidates import candidates  # noqa: PLC0415 # slow to import
    from gateway.cli.policy.sources import opened  # noqa: PLC0415

    with opened(source, config, proxy) as world:
        if user not in world.users():
            raise NotFoundError(f"there is no user {user!r} in {source}")
        classes = candidates([world])
        with output.working("Asking about every database"):
            found = asyncio.run(_ask(world, user, classes))
    show(_rows(found, len(classes.acts)), _COLUMNS, form)


async def _ask(world: "World", user: str, classes: "Candidates") -> "Access":
    from gateway.cli.policy.asking import access, asking  # noqa: PLC0415 # slow to import

    async with asking(world) as asker:
        return await access(asker, classes, [user], world.databases())


def _rows(found: "Access", of: int) -> list[dict[str, Any]]:
    from gateway.analysis.access import told  # noqa: PLC0415 # slow to import

    return [
        {
            "database": route.database,
            "db_user": told(route.db_user),
            "db_name": told(route.db_name),
            "roles": list(roles),
            "what": _told(found.acts[route], of),
        }
        for route, roles in sorted(found.routes.items())
    ]


def _told(acts: "Iterable[Act]", of: int) -> list[str]:
    """The acts in words; all of them in one."""
    words = sorted(act.text() for act in acts)
    return ["everything"] if len(words) == of else words or ["nothing"]
