"""``regate tokens``: what lets a service on another host join the cluster."""

import shlex
from collections.abc import Mapping
from typing import Any

import click

from gateway.cli import channel, output
from gateway.cli.client import segment
from gateway.cli.options import config_option, duration, examples, format_option, names, selector
from gateway.clock import SystemClock, utc

_NEXT = {
    "db": "regate db configure create --token=FILE --ca-pin={pin} --proxy={proxy} \\\n"
    "      --name=my-postgres --protocol=postgres --uri=HOST:5432 --output=file:///etc/regate-db.yaml",
    "proxy": "write its file with: regate: {{auth_token: FILE, ca_pin: '{pin}'}}, and run: regate start -c …",
    "bot": "regate bot start --proxy={proxy} --ca-pin={pin} --token-file=FILE --out=DIR",
}


@click.group()
def tokens() -> None:
    """Tokens with which services on other hosts join."""


@tokens.command(
    epilog=examples(
        "regate tokens add --type=db --format=text > /tmp/token",
        "regate tokens add --type=db --labels=env=production --databases=my-postgres,orders-* --ttl=10m",
        "regate tokens add --type=db --uses=20 --format=json",
        "regate tokens add --type=bot --bot=ci",
    )
)
@click.option(
    "--type", "types", type=names, required=True, help="What may join: db, proxy, or bot with --bot."
)
@click.option(
    "--ttl", type=duration, default="30m", show_default=True, help="How long it is good, 30m at most."
)
@click.option(
    "--labels", type=selector, default=None, help="Only databases with these labels, as in env=production."
)
@click.option("--databases", type=names, default=None, help="Only databases with these names; * is any part.")
@click.option("--bot", metavar="NAME", default="", help="Which bot joins with it, with --type=bot.")
@click.option("--uses", type=click.IntRange(1), default=None, help="How many may join with it. [default: 1]")
@click.option("--multi-use", is_flag=True, help="Any number may join with it until it ends.")
@click.option("--name", default="", help="What to call it in lists and in the audit log.")
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(output.FORMATS),
    default=None,
    help="text prints the token and nothing else. [default: with what to do next]",
)
@config_option
def add(form: str | None, config: str, proxy: str, **given: Any) -> None:
    """Make a token; it is shown this once.

    The cluster keeps only its digest. With labels or names it lets an agent serve only databases that have
    them; the policy decides that, at every heartbeat.

    A token for a bot is good once, for a bot that there is (regate bots add makes one with its first token):
    for a machine that lost its identity, or was exchanged.
    """
    if given["multi_use"] and given["uses"] is not None:
        raise click.UsageError("give --uses or --multi-use, not both")
    body: dict[str, Any] = {
        "types": given["types"],
        "ttl_seconds": given["ttl"],
        "name": given["name"],
        "labels": given["labels"] or {},
    }
    if given["databases"]:
        body["databases"] = given["databases"]
    if given["bot"]:
        body["bot"] = given["bot"]
    body |= {"multi_use": True} if given["multi_use"] else {"uses": given["uses"] or 1}
    made = channel.admin(config, proxy).post("/v1/tokens", body)
    if form == "text":
        click.echo(made["token"])
    else:
        output.show(made, form or "text", lambda: _guide(made))


@tokens.command(epilog=examples("regate tokens ls", "regate tokens ls --format=json"))
@format_option
@config_option
def ls(form: str, config: str, proxy: str) -> None:
    """List the tokens that can still be used."""
    found = channel.admin(config, proxy).get("/v1/tokens")["tokens"]
    headings = ("Name", "Type", "Labels", "Databases", "Uses left", "Expires")
    output.show(found, form, lambda: output.table(headings, map(_row, found)))


@tokens.command(epilog=examples("regate tokens rm token-1f0c22ab"))
@click.argument("name")
@config_option
def rm(name: str, config: str, proxy: str) -> None:
    """Remove a token by its name; who joined with it stays."""
    channel.admin(config, proxy).delete(f"/v1/tokens/{segment(name)}")
    click.echo(f'Token "{output.clean(name)}" has been removed')


def _row(item: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        item["name"],
        ",".join(item["types"]) + (f" ({item['bot']})" if "bot" in item else ""),
        "any" if item["labels"] is None else _selected(item["labels"]),
        "any" if item["databases"] is None else ",".join(item["databases"]),
        "any" if item["uses_left"] is None else str(item["uses_left"]),
        output.until(output.moment(item["expires"]), utc(SystemClock())),
    )


def _selected(labels: Mapping[str, list[str]]) -> str:
    return ",".join(f"{name}={'|'.join(labels[name])}" for name in sorted(labels))


def _guide(made: Mapping[str, Any]) -> None:
    uses = made["uses_left"]
    often = "any number of times" if uses is None else "once" if uses == 1 else f"{uses} times"
    end = output.until(output.moment(made["expires"]), utc(SystemClock()))
    kinds = " or ".join(made["types"])
    who = f'the bot "{output.clean(made["bot"])}"' if "bot" in made else f"a {kinds} service"
    click.echo(f'The token "{output.clean(made["name"])}" lets {who} join {often}, until {end}:\n')
    click.echo(f"  {made['token']}\n")
    steps = [_NEXT[kind] for kind in made["types"] if kind in _NEXT]
    if steps:
        click.echo("Put it into a file on the other host, readable by its owner only. There:")
    proxy = shlex.quote(made.get("proxy") or "HOST:PORT")
    for step in steps:
        click.echo("  " + step.format(pin=made["ca_pin"], proxy=proxy))
