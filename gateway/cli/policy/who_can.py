"""``regate policy who-can``: everybody who may do something on a database."""

import asyncio  # noqa: TID251
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import output
from gateway.cli.options import config_option, examples
from gateway.cli.policy.tables import show, source_option, table_format_option
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from gateway.analysis.access import Access
    from gateway.analysis.candidates import Act, Candidates
    from gateway.analysis.world import World

_COLUMNS = ("user", "db_user", "db_name", "roles", "what")
_CONNECT = "connect"


@click.command(
    name="who-can",
    epilog=examples(
        "regate policy who-can connect on my-postgres",
        "regate policy who-can delete on my-postgres/app.orders --format=csv > who.csv",
        "regate policy who-can select on my-postgres --policy=.",
    ),
)
@click.argument("operation")
@click.argument("on", type=click.Choice(["on"]), metavar="on")
@click.argument("what", metavar="DATABASE[/SCHEMA.TABLE]")
@click.option("--kind", default="table", show_default=True, help="The kind of object that is meant.")
@source_option
@table_format_option
@config_option
def who_can(
    operation: str, on: str, what: str, kind: str, source: str, form: str, config: str, proxy: str
) -> None:
    """List who may do something on a database.

    OPERATION is connect, or a word as in a role's db_permissions: select, insert, delete, … Without an
    object, all objects that roles name are asked about. The list is what the policy answers now; "(any
    other)" stands for every name that no role names.
    """
    del on  # only for reading it as a sentence
    from gateway.analysis.candidates import candidates  # noqa: PLC0415 # slow to import
    from gateway.cli.policy.sources import need_database, opened  # noqa: PLC0415

    database, _, thing = what.partition("/")
    with opened(source, config, proxy) as world:
        need_database(world, database, source)
        classes = candidates([world])
        acts = _acts(operation.lower(), thing, kind, classes)
        with output.working("Asking about everybody"):
            found = asyncio.run(_ask(world, database, classes, acts))
    show(_rows(found, operation), _COLUMNS, form)


def _acts(operation: str, thing: str, kind: str, classes: "Candidates") -> "tuple[Act, ...]":
    from gateway.analysis.candidates import Act  # noqa: PLC0415 # slow to import
    from gateway.classify.operations import CLASS_OF  # noqa: PLC0415
    from gateway.mistakes import suggestion  # noqa: PLC0415
    from gateway.model.classification import ObjectRef  # noqa: PLC0415

    if operation == _CONNECT:
        return ()
    if operation not in CLASS_OF:
        raise ConfigError(
            f"there is no operation {operation!r}{suggestion(operation, tuple(CLASS_OF))}",
            hint=f"expected connect, or one of {', '.join(sorted(CLASS_OF))}",
        )
    if not thing:
        return tuple(act for act in classes.acts if act.operation == operation)
    schema, _, name = thing.rpartition(".")
    return (Act(operation, ObjectRef(kind, name, schema)),)


async def _ask(world: "World", database: str, classes: "Candidates", acts: "tuple[Act, ...]") -> "Access":
    from gateway.cli.policy.asking import access, asking  # noqa: PLC0415 # slow to import

    places = {database: world.databases()[database]}
    async with asking(world) as asker:
        return await access(asker, classes, sorted(world.users()), places, acts=acts)


def _rows(found: "Access", operation: str) -> list[dict[str, Any]]:
    from gateway.analysis.access import told  # noqa: PLC0415 # slow to import

    is_connect = operation.lower() == _CONNECT
    return [
        {
            "user": route.user,
            "db_user": told(route.db_user),
            "db_name": told(route.db_name),
            "roles": list(roles),
            "what": [_CONNECT] if is_connect else sorted(act.text() for act in found.acts[route]),
        }
        for route, roles in sorted(found.routes.items())
        if is_connect or found.acts[route]
    ]
