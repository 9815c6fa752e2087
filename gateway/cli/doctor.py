"""``regate doctor``: looks at everything that usually goes wrong, and says what to do about it."""

import os
from collections.abc import Iterator
from pathlib import Path

import click

from gateway.cli import channel, output
from gateway.cli.checks import Check, Verdict, failed, note
from gateway.cli.failures import FindingError
from gateway.cli.options import config_option, examples, format_option
from gateway.errors import ConfigError

_COLORS = {Verdict.OK: "green", Verdict.NOTE: "yellow", Verdict.BAD: "red"}


@click.command(
    epilog=examples(
        "regate doctor",
        "regate doctor -c /etc/regate.yaml",
        "regate doctor --db=my-postgres --db-user=alice --db-name=mydb",
    )
)
@click.option("--db", "database", default="", help="Also connect to this database, as the gateway does.")
@click.option("--db-user", default="", help="The database user to try.")
@click.option("--db-name", default="", help="The database name to try.")
@format_option
@config_option
def doctor(database: str, db_user: str, db_name: str, form: str, config: str, proxy: str) -> None:
    """Find out what is wrong, and what to do about it.

    On the host of the auth service it looks at OPA, the clock, ports, certificates and file modes, and with
    --db at a database server, for which it prints the lines of its own files: pg_hba.conf and
    postgresql.conf, redis.conf, my.cnf, mongod.conf. Elsewhere it looks at your login and the way to the
    proxy. Something wrong is exit code 10.
    """
    found: list[Check] = []
    is_text = form == "text"
    if database and is_text:
        from gateway.cli.checks.database import lines  # noqa: PLC0415 # imports the session's parts

        needed = lines(_admin_socket(config, proxy), database)
        click.echo(f"What the server of {output.clean(database)} needs\n\n{needed}\n")
    for check in _examine(database, db_user, db_name, config, proxy):
        found.append(check)
        if is_text:
            _say(check)
    output.show([check.to_json() for check in found], form, lambda: None)
    wrong = sum(check.verdict is Verdict.BAD for check in found)
    if wrong:
        raise FindingError(f"{wrong} of {len(found)} checks found something wrong")


def _examine(database: str, db_user: str, db_name: str, config: str, proxy: str) -> Iterator[Check]:
    from gateway.cli.checks import person  # noqa: PLC0415 # each part is loaded when it is needed

    named, path = _configuration(config, proxy)
    if named or (not proxy and path.exists()):
        yield from _host(path, database, db_user, db_name)
    elif database:
        hint = f"run it on the auth service's host, with -c FILE (there is no {path} here)"
        yield note(f"database {database}", "a server can be tried only from the auth service's host", hint)
    yield from person.examine(proxy)


def _configuration(config: str, proxy: str) -> tuple[str, Path]:
    """What was named, and the file that is looked at."""
    named = config or ("" if proxy else os.environ.get("REGATE_CONFIG", ""))
    return named, Path(named or channel.DEFAULT_CONFIG)


def _admin_socket(config: str, proxy: str) -> Path:
    from gateway.config_file import load  # noqa: PLC0415 # each part is loaded when it is needed

    try:
        return load(_configuration(config, proxy)[1]).admin_socket
    except ConfigError:
        return Path()  # which is said below


def _host(path: Path, database: str, db_user: str, db_name: str) -> Iterator[Check]:
    from gateway.cli.checks import host  # noqa: PLC0415 # each part is loaded when it is needed
    from gateway.config_file import load  # noqa: PLC0415

    try:
        read = load(path)
    except ConfigError as error:
        yield failed("configuration", error)
        return
    yield from host.examine(read)
    if read.admin_socket.is_socket():
        from gateway.cli.checks import rotation  # noqa: PLC0415

        yield from rotation.examine(read)
    if database:
        from gateway.cli.checks import database as databases  # noqa: PLC0415

        yield from databases.examine(read, database, db_user=db_user, db_name=db_name)


def _say(check: Check) -> None:
    mark = click.style(f"{check.verdict.value:<5}", fg=_COLORS[check.verdict])
    click.echo(f"{mark}{output.clean(check.name)}: {check.text}")
    if check.remedy:
        click.echo(f"     -> {check.remedy}")
