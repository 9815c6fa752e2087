"""``regate policy simulate``: what a statement would get, and why."""

import asyncio  # noqa: TID251
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import output
from gateway.cli.options import config_option, examples, format_option
from gateway.cli.policy.tables import source_option

if TYPE_CHECKING:
    from gateway.analysis.access import Route
    from gateway.analysis.world import World
    from gateway.model.decision import Decision
    from gateway.sansio.exchange import Facts


@click.command(
    epilog=examples(
        "regate policy simulate --user=alice --database=my-postgres --db-user=alice --db-name=mydb "
        "--sql='SELECT * FROM orders'",
        "regate policy simulate --policy=. --user=ada --database=shop-dev --db-user=reader --db-name=shop",
    )
)
@click.option("--user", required=True, help="Who asks.")
@click.option("--database", required=True, help="On which database.")
@click.option("--db-user", required=True, help="As which database user.")
@click.option("--db-name", default="", help="To which database name.")
@click.option("--sql", default=None, metavar="TEXT", help="The statement; without it, only the connect.")
@click.option(
    "--search-path",
    default="public",
    show_default=True,
    metavar="SCHEMA,…",
    help="Where names are looked for.",
)
@source_option
@format_option
@config_option
@click.pass_context
def simulate(
    ctx: click.Context, /, source: str, form: str, config: str, proxy: str, **asked: str | None
) -> None:
    """Say what a statement would get, and why.

    The connect is judged first, then the statement by the roles that granted it. Each reason comes with the
    rule that gave it and the part of the role that it is about, with file and line. No database is asked, so
    the facts are those of the text alone. The exit code is 0 when it is allowed, and 1 when not.
    """
    from gateway.analysis.access import Route  # noqa: PLC0415 # slow to import
    from gateway.cli.policy.sources import need_database, need_user, opened  # noqa: PLC0415

    user, database, db_user, db_name, search_path = (
        asked[name] or "" for name in ("user", "database", "db_user", "db_name", "search_path")
    )
    route, sql = Route(user, database, db_user, db_name), asked["sql"]
    path = tuple(name.strip() for name in search_path.split(",") if name.strip())
    with opened(source, config, proxy) as world:
        need_user(world, user, source)
        need_database(world, database, source)
        report = asyncio.run(_report(world, route, sql, path))
    output.show(report, form, lambda: _say(report))
    if report["verdict"] != "allowed":
        ctx.exit(1)


async def _report(world: "World", route: "Route", sql: str | None, path: tuple[str, ...]) -> dict[str, Any]:
    from gateway.analysis import places  # noqa: PLC0415 # slow to import
    from gateway.cli.policy.asking import asking  # noqa: PLC0415
    from gateway.model.decision import Allowed  # noqa: PLC0415

    facts = None if sql is None else await _facts(world, route, sql, path)
    async with asking(world) as asker:
        connect = await asker.connect(route)
        query: Decision | None = None
        granting: tuple[str, ...] = ()
        if isinstance(connect, Allowed):
            granting = connect.roles
            if facts is not None:
                session = asker.session(route, world.databases()[route.database], granting)
                query = await asker.query(session, facts)
    last = connect if query is None else query
    return {
        "verdict": "allowed" if isinstance(last, Allowed) else "denied",
        "connect": shown(world, connect, "connect", granting, route.user),
        "query": None if query is None else shown(world, query, "query", granting, route.user),
        "lifted_by": places.lifts(world, granting) if query is not None else [],
        "facts": [] if facts is None else [item.to_json() for item in facts],
    }


async def _facts(world: "World", route: "Route", sql: str, path: tuple[str, ...]) -> "Facts":
    from gateway.analysis.corpus import known_protocol  # noqa: PLC0415 # slow to import
    from gateway.cli.policy.rehearsing import facts_of  # noqa: PLC0415
    from gateway.model.statement import NameContext, Statement  # noqa: PLC0415
    from gateway.session.facts import Classifier  # noqa: PLC0415

    protocol = known_protocol(world.databases()[route.database].protocol)
    names = NameContext(route.db_name, route.db_user, search_path=path)
    classifier = Classifier()
    try:
        return await facts_of(classifier, protocol, (Statement(sql, protocol.name, names),))
    finally:
        await classifier.close()


def shown(
    world: "World", decision: "Decision", entry: str, granting: tuple[str, ...], user: str
) -> dict[str, Any]:
    """A decision about *entry* (connect, query) with the places that its reasons come from."""
    from gateway.analysis import places  # noqa: PLC0415 # slow to import
    from gateway.model.decision import Allowed  # noqa: PLC0415

    return {
        "verdict": "allowed" if isinstance(decision, Allowed) else "denied",
        "reasons": [
            {
                "code": reason.code,
                "message": reason.message,
                "role": reason.role,
                "rules": places.rules(world, reason.code, entry),
                "where": places.parts(world, reason, entry, granting, user),
            }
            for reason in decision.reasons
        ],
    }


def say_decision(what: str, decision: dict[str, Any]) -> None:
    """A decision as text: a line for each reason, and the places behind it."""
    click.echo(f"{what}: {decision['verdict']}")
    for reason in decision["reasons"]:
        about = f" by role {reason['role']}" if reason["role"] else ""
        told = f": {reason['message']}" if reason["message"] else ""
        click.echo(output.clean(f"  {reason['code']}{about}{told}"))
        for place in (*reason["where"], *reason["rules"]):
            click.echo(output.clean(f"    {place}"))


def _say(report: dict[str, Any]) -> None:
    say_decision("connect", report["connect"])
    if report["query"] is not None:
        say_decision("statement", report["query"])
    for role in report["lifted_by"]:
        click.echo(output.clean(f"  role {role} has no db_permissions, and so lifts those of the others"))
    for number, item in enumerate(report["facts"], 1):
        understood = "understood" if item["complete"] else f"not understood ({item['unknown_reason']})"
        click.echo(f"statement {number}: {item['operation']}, class {item['class']}, {understood}")
        for line in _details(item):
            click.echo(output.clean(f"  {line}"))


def _details(item: dict[str, Any]) -> list[str]:
    lines = []
    for effect in item["effects"]:
        thing = effect["object"]
        about = f" on {thing['kind']} {_named(thing)}" if thing else ""
        columns = f" ({', '.join(effect['columns'])})" if effect["columns"] else ""
        lines.append(f"{effect['operation']}{about}{columns}")
    lines += [
        f"{part}: {', '.join(_named(named) for named in item[part])}"
        for part in ("functions", "operators", "casts")
        if item[part]
    ]
    lines += [f"sets {one['name']} ({one['scope']})" for one in item["settings"]]
    return lines


def _named(thing: dict[str, Any]) -> str:
    return f"{thing['schema']}.{thing['name']}" if thing["schema"] else str(thing["name"])
