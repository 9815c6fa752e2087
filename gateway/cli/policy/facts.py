"""``regate policy facts``: what the classifier finds in a statement, as the policy would see it."""

import asyncio  # noqa: TID251
import json
from pathlib import Path
from typing import Any

import click

from gateway.cli.options import examples
from gateway.errors import ConfigError

_MOST = 64 * 1024 * 1024


@click.command(
    epilog=examples(
        "echo 'DELETE FROM app.orders' | regate policy facts",
        "regate policy facts --protocol=postgres --sql='SELECT * FROM orders' --search-path=app",
        "regate policy facts report.sql",
    )
)
@click.argument("file", default="-")
@click.option("--protocol", default="postgres", show_default=True, help="The protocol it would be sent in.")
@click.option("--sql", default=None, metavar="TEXT", help="The statement itself, in the place of FILE.")
@click.option(
    "--search-path", default="app", show_default=True, metavar="SCHEMA,…", help="Where names are looked for."
)
@click.option("--db-name", default="appdb", show_default=True, help="The database it would run in.")
@click.option("--db-user", default="analyst", show_default=True, help="The database user it would run as.")
def facts(file: str, protocol: str, sql: str | None, search_path: str, db_name: str, db_user: str) -> None:
    """Print what the classifier finds in a statement.

    The statement, or several with semicolons between them, is read from FILE, or from standard input. The
    facts are printed as JSON: for each statement its effects, the functions, operators and types it uses,
    the settings it changes, and whether all of it was understood. No server is asked, so a name stands for
    what the search path says, and "a.b" for a column or a function "b".
    """
    text = _read(file) if sql is None else sql
    path = tuple(name.strip() for name in search_path.split(",") if name.strip())
    found = asyncio.run(_found(protocol, text, path, (db_name, db_user)))
    click.echo(json.dumps({"protocol": protocol, "statements": found}, indent=2, ensure_ascii=False))


async def _found(
    protocol: str, text: str | bytes, path: tuple[str, ...], names: tuple[str, str]
) -> list[dict[str, Any]]:
    from gateway.analysis.corpus import known_protocol  # noqa: PLC0415 # slow to import
    from gateway.cli.policy.rehearsing import facts_of  # noqa: PLC0415
    from gateway.model.statement import NameContext, Statement  # noqa: PLC0415
    from gateway.session.facts import Classifier  # noqa: PLC0415

    known = known_protocol(protocol)
    context = NameContext(*names, search_path=path)
    made = Statement(text, known.name, context) if isinstance(text, str) else None
    classifier = Classifier()
    try:
        asked = (made or Statement("", known.name, context, unreadable="not_utf8"),)
        return [item.to_json() for item in await facts_of(classifier, known, asked)]
    finally:
        await classifier.close()


def _read(file: str) -> str | bytes:
    """The text of *file*; bytes that are no UTF-8 stay bytes, for they are a fact too."""
    try:
        with click.open_file(file, "rb") as stream:
            data: bytes = stream.read(_MOST + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {Path(file)}: {error.strerror}") from error
    if len(data) > _MOST:
        raise ConfigError(f"{file} is longer than {_MOST} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data
