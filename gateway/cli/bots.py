"""``regate bots``: accounts of machines, which join with a token and have no password."""

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from gateway.cli import channel, output
from gateway.cli.client import segment
from gateway.cli.options import config_option, duration, examples, format_option, names
from gateway.clock import SystemClock, utc


@click.group()
def bots() -> None:
    """Accounts of machines."""


@bots.command(
    epilog=examples(
        "regate bots add ci --roles=access --db-users=ci --db-names=mydb",
        "regate bots add reports --roles=reader --ttl=10m --format=json",
    )
)
@click.argument("name")
@click.option("--roles", type=names, required=True, help="Names of roles, with commas between them.")
@click.option("--db-users", type=names, default=None, help="The trait db_users, for {{internal.db_users}}.")
@click.option("--db-names", type=names, default=None, help="The trait db_names, for {{internal.db_names}}.")
@click.option("--ttl", type=duration, default="30m", show_default=True, help="How long the token is good.")
@format_option
@config_option
def add(
    name: str, roles: list[str], ttl: int, form: str, config: str, proxy: str, **traits: list[str] | None
) -> None:
    """Make a bot and print the token with which its machine joins, once.

    A bot is a user without a password. One machine is one bot: when it joins again with another token (regate
    tokens add --type=bot --bot=NAME), what it had before is not renewed any more.
    """
    given = {trait: values for trait, values in traits.items() if values}
    body = {"name": name, "roles": roles, "traits": given, "ttl_seconds": ttl}
    answer = channel.admin(config, proxy).post("/v1/bots", body)
    output.show(answer, form, lambda: _say_token(answer))


@bots.command(epilog=examples("regate bots ls", "regate bots ls --format=json"))
@format_option
@config_option
def ls(form: str, config: str, proxy: str) -> None:
    """List bots, and when each got its last certificate."""
    found = channel.admin(config, proxy).get("/v1/bots")["bots"]
    rows = [(bot["name"], ",".join(bot["roles"]), _moment(bot["renewed_at"])) for bot in found]
    output.show(found, form, lambda: output.table(("Bot", "Roles", "Last certificate"), rows))


@bots.command(epilog=examples("regate bots rm ci"))
@click.argument("name")
@config_option
def rm(name: str, config: str, proxy: str) -> None:
    """Remove a bot; its sessions end, and its tokens are gone."""
    channel.admin(config, proxy).delete(f"/v1/bots/{segment(name)}")
    click.echo(f'Bot "{output.clean(name)}" has been removed')


def next_step(answer: Mapping[str, Any]) -> str:
    """What is run on the machine, as it is typed."""
    proxy, pin = shlex.quote(answer.get("proxy") or "HOST:PORT"), answer.get("ca_pin") or "sha256:…"
    return f"regate bot start --proxy={proxy} --ca-pin={pin} --token-file=FILE --out=DIR"


def _say_token(answer: Mapping[str, Any]) -> None:
    end = output.until(output.moment(answer["expires"]), utc(SystemClock()))
    name = output.clean(answer["user"])
    click.echo(f'Bot "{name}" has been created. The join token works once, until {end}:\n')
    click.echo(f"  {answer['token']}\n")
    click.echo("Put it into a file on the bot's machine, readable by its owner only. There:")
    click.echo(f"  {next_step(answer)}")


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC" if seconds else "none yet"
