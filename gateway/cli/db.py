"""``regate db``: which databases there are for you, and every way to connect to one."""

import os
import shlex
import subprocess
from collections.abc import Mapping
from typing import Any

import click

from gateway.cli import channel, clients, native, output, profile, route, through
from gateway.cli.db_configure import configure
from gateway.cli.failures import FindingError
from gateway.cli.options import examples, format_option, names, proxy_option
from gateway.cli.profile import DatabaseLogin, Profile
from gateway.clock import SystemClock, utc
from gateway.errors import AccessError

_ENVIRONMENT = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "gssencmode": "PGGSSENCMODE",
}


@click.group()
def db() -> None:
    """Databases you may reach, and how to connect."""


db.add_command(configure)


def _route_options(function: Any) -> Any:
    function = click.option("--db-name", default="", help="The database name to connect to.")(function)
    return click.option("--db-user", default="", help="The database user to connect as.")(function)


@db.command(epilog=examples("regate db ls", "regate db ls -v", "regate db ls --format=json"))
@click.option("-v", "--verbose", is_flag=True, help="Show which services serve each, and how they are.")
@proxy_option
@format_option
def ls(proxy: str, form: str, *, verbose: bool) -> None:
    """List the databases that your roles let you see."""
    found = channel.user(proxy).get("/v1/db")["databases"]
    if verbose:
        served = [row for item in found for row in _served(item)]
        headings = ("Name", "Protocol", "Labels", "Served by", "State", "Last seen")
        output.show(found, form, lambda: output.table(headings, served))
        return
    rows = [
        (
            item["name"],
            item.get("description", ""),
            output.labels(item.get("labels", {})),
            _connect_command(item),
        )
        for item in found
    ]
    output.show(found, form, lambda: output.table(("Name", "Description", "Labels", "Connect"), rows))


@db.command(epilog=examples("regate db login --db-user=alice --db-name=mydb my-postgres"))
@click.argument("database")
@_route_options
@proxy_option
@format_option
def login(database: str, db_user: str, db_name: str, proxy: str, form: str) -> None:
    """Get a certificate for one database, an hour long at most."""
    chosen, got = _obtain(database, db_user, db_name, proxy, fresh=True)
    shown = _about(chosen, got)

    def text() -> None:
        end = output.until(got.certified.expires, utc(SystemClock()))
        click.echo(f'The certificate for "{output.clean(database)}" is here, until {end}.\n')
        click.echo("Connect with:")
        click.echo(f"  regate db connect {database}")
        click.echo("or see what other clients need:")
        click.echo(f"  regate db config {database}\n  regate db env {database}")

    output.show(shown, form, text)


@db.command(epilog=examples("regate db logout my-postgres", "regate db logout"))
@click.argument("database", default="")
@proxy_option
def logout(database: str, proxy: str) -> None:
    """Remove the certificates of one database, or of all, from this machine."""
    chosen = profile.current(proxy, now=utc(SystemClock()))
    kept = {item.route.database for item in profile.database_logins(chosen, now=utc(SystemClock()))}
    if not database and not kept:
        click.echo("There was no certificate for any database")
    for name in [database] if database else sorted(kept):
        if profile.forget_database(chosen, name):
            click.echo(f'The certificates for "{output.clean(name)}" are gone')
        else:
            click.echo(f'There was no certificate for "{output.clean(name)}"')


@db.command(
    epilog=examples(
        "regate db connect --db-user=alice --db-name=mydb my-postgres",
        "regate db connect my-postgres -- -c 'select 1'",
    )
)
@click.argument("database")
@click.argument("arguments", nargs=-1, metavar="[-- CLIENT ARGUMENTS...]")
@_route_options
@proxy_option
def connect(database: str, arguments: tuple[str, ...], db_user: str, db_name: str, proxy: str) -> None:
    """Open the database's own client on it (psql, mongosh, redis-cli), with a certificate for it."""
    chosen, got = _obtain(database, db_user, db_name, proxy)
    program = clients.program(got.route.protocol)
    if got.route.protocol != "postgres":
        raise click.exceptions.Exit(through.run(chosen, got, program, arguments, {}))
    os.execve(  # noqa: S606 # nothing of this is a shell's to read
        program, [program, *arguments], {**_clean_environment(), **_environment(chosen, got)}
    )


@db.command(epilog=examples('eval "$(regate db env my-postgres)"', "regate db env my-postgres --format=json"))
@click.argument("database")
@_route_options
@proxy_option
@format_option
def env(database: str, db_user: str, db_name: str, proxy: str, form: str) -> None:
    """Print environment variables for the database's clients.

    For PostgreSQL those that libpq reads; for MySQL and MariaDB MYSQL_HOME, a folder with a my.cnf that their
    programs read; for MongoDB and Redis MONGODB_URI and REDIS_URL, which by custom have the address.
    """
    chosen, got = _obtain(database, db_user, db_name, proxy)
    values = _environment(chosen, got)

    def text() -> None:
        for name, value in values.items():
            click.echo(f"export {name}={shlex.quote(value)}")

    output.show(values, form, text)


@db.command(epilog=examples("regate db config my-postgres", "regate db config my-postgres --format=json"))
@click.argument("database")
@_route_options
@proxy_option
@format_option
def config(database: str, db_user: str, db_name: str, proxy: str, form: str) -> None:
    """Print where clients find the database, the certificate and its key, and how they are started.

    PostgreSQL's clients come to the public port, all others to the port of their protocol alone. Where there
    is none, regate db connect and regate proxy db --tunnel lead to the database.
    """
    chosen, got = _obtain(database, db_user, db_name, proxy)
    shown = _about(chosen, got) | _started(chosen, got)

    def text() -> None:
        headings = ("Name", "Host", "Port", "User", "Database", "CA", "Cert", "Key")
        values = (database, *(shown[name.lower()] for name in headings[1:]))
        for heading, value in zip(headings, values, strict=True):
            click.echo(f"{heading + ':':<10}{value}")
        if command := shown["command"]:
            click.echo(f"{'Command:':<10}{output.clean(command)}")
        if not shown["port"]:
            click.echo(f"{'Note:':<10}{native.missing(got)}")

    output.show(shown, form, text)


@db.command(
    "exec",
    epilog=examples(
        "regate db exec --db-user=alice --db-name=mydb --dbs=orders,users 'select count(*) from pg_class'",
    ),
)
@click.argument("statement")
@click.option("--dbs", type=names, required=True, help="Databases, with commas between their names.")
@_route_options
@proxy_option
def exec_(statement: str, dbs: list[str], db_user: str, db_name: str, proxy: str) -> None:
    """Run one statement on several databases, one after the other.

    Each database's output stands below its name; the exit code says whether all of them went well.
    """
    failed = []
    for name in dbs:
        click.echo(f"==> {output.clean(name)}")
        try:
            code = _execute(*_obtain(name, db_user, db_name, proxy), statement)
        except AccessError as error:  # the others are asked all the same
            click.echo(f"error: {error}", err=True)
            code = error.exit_code
        if code:
            failed.append(name)
    if failed:
        raise FindingError(f"the statement failed on {', '.join(output.clean(name) for name in failed)}")


def _execute(chosen: Profile, got: DatabaseLogin, statement: str) -> int:
    """The exit code of the database's client, given one statement."""
    program = clients.program(got.route.protocol)
    if got.route.protocol != "postgres":
        return through.run(chosen, got, program, clients.one(got.route.protocol, statement), {})
    values = {**_clean_environment(), **_environment(chosen, got)}
    command = [program, "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--command", statement]
    return subprocess.run(command, env=values, stdin=subprocess.DEVNULL, check=False).returncode  # noqa: S603 # argv, no shell


def _obtain(
    database: str, db_user: str, db_name: str, proxy: str, *, fresh: bool = False
) -> tuple[Profile, DatabaseLogin]:
    chosen = profile.current(proxy, now=utc(SystemClock()))
    profile.need_login(chosen)
    if not fresh:
        return chosen, route.obtain(chosen, database, db_user=db_user, db_name=db_name)
    if not db_user:
        kept = profile.database_login(chosen, database, db_user="", db_name=db_name, now=utc(SystemClock()))
        db_user, db_name = (kept.route.db_user, kept.route.db_name) if kept else ("", db_name)
    return chosen, route.renew(chosen, database, db_user=db_user, db_name=db_name)


def _environment(chosen: Profile, got: DatabaseLogin) -> dict[str, str]:
    if got.route.protocol != "postgres":
        return native.environment(chosen, got)
    return {_ENVIRONMENT[name]: value for name, value in route.settings(chosen, got).items()}


def _clean_environment() -> dict[str, str]:
    """This process's environment without what would steer libpq elsewhere, a password above all."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG") or name == "PGTZ"}


def _about(chosen: Profile, got: DatabaseLogin) -> dict[str, str]:
    where = native.find(chosen, got)
    return {
        "name": got.route.database,
        "protocol": got.route.protocol,
        "host": "" if where is None else where.host,
        "port": "" if where is None else str(where.port),
        "user": got.route.db_user,
        "database": got.route.db_name,
        "ca": str(chosen.host_ca),
        "cert": str(got.certified.certificate),
        "key": str(got.certified.key),
        "valid_until": got.certified.expires.isoformat(),
    }


def _started(chosen: Profile, got: DatabaseLogin) -> dict[str, str]:
    where = native.find(chosen, got)
    if where is None:
        return {"command": ""}
    if got.route.protocol == "postgres":
        return {"command": route.psql(route.settings(chosen, got))}
    return {"command": native.command(chosen, got, where)}


def _served(item: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row for each service of a database; one for the database itself when there is none elsewhere."""
    about = (item["name"], item["protocol"], output.labels(item.get("labels", {})))
    rows: list[tuple[str, ...]] = [
        (
            *about,
            f"{agent.get('hostname') or '?'} ({agent['id']})",
            "healthy" if agent["healthy"] else str(agent["reason"]) or "unhealthy",
            _ago(agent["last_seen"]),
        )
        for agent in item.get("agents", ())
    ]
    return rows or [(*about, "the cluster itself", "", "")]


def _ago(seconds: int) -> str:
    """How long ago a moment in seconds was; an empty one never was."""
    if not seconds:
        return "never"
    passed = max(0, round(utc(SystemClock()).timestamp()) - int(seconds))
    return f"{passed} s ago" if passed < 120 else f"{passed // 60} min ago"


def _connect_command(item: Mapping[str, Any]) -> str:
    """The command that opens it, with the database user and name filled in where only one is allowed."""
    parts = ["regate db connect"]
    for option, key in (("--db-user", "db_users"), ("--db-name", "db_names")):
        allowed = item.get(key) or []
        if len(allowed) == 1 and "*" not in allowed[0]:
            parts.append(f"{option}={shlex.quote(allowed[0])}")
        elif option == "--db-user" or allowed:
            parts.append(f"{option}=…")
    return " ".join([*parts, shlex.quote(item["name"])])
