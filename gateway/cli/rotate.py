"""``regate auth rotate``: replacing an authority while the cluster runs."""

from collections.abc import Mapping
from typing import Any

import click

from gateway.cli import channel, output
from gateway.cli.options import config_option, duration, examples, format_option
from gateway.errors import ConfigError

TYPES = ("user", "host", "db", "db-client")
PHASES = ("init", "update-clients", "update-servers", "standby", "rollback")

_NEXT = {
    ("user", "init"): "every proxy accepts logins of both authorities",
    ("user", "update-clients"): "logins are signed by the new authority; old ones are good until standby",
    ("user", "standby"): "logins that the old authority signed are refused: log in again",
    ("host", "init"): "people and agents learn the new authority at their next login or command",
    ("host", "update-servers"): "proxies show certificates of the new authority: new logins need the new pin",
    ("host", "standby"): "the old pin is worth nothing any more",
    ("db", "init"): "the gateway accepts database servers of both authorities",
    ("db", "update-clients"): "give other clients of your servers: regate auth export --type=db",
    ("db", "update-servers"): "sign the servers anew, each: regate auth sign --format=db --host=…",
    ("db", "standby"): "servers with a certificate of the old authority are refused",
    ("db-client", "init"): "put into each server's ssl_ca_file: regate auth export --type=db-client",
    ("db-client", "update-clients"): "sessions show databases a certificate of the new authority",
    ("db-client", "standby"): "take the old authority out of each server's ssl_ca_file",
}
_DOCTOR = {
    "db": "regate doctor says which servers have a certificate of the old authority still",
    "db-client": "regate doctor says which servers do not trust the new authority yet",
}


def _grace(value: str | int) -> int:
    return 0 if value in {"0", "0s", 0} else duration(value)


@click.group(
    invoke_without_command=True,
    epilog=examples(
        "regate auth rotate --type=user                      # by itself, within 30 hours",
        "regate auth rotate --type=db-client --manual --phase=init",
        "regate auth rotate --type=db-client --manual --phase=update-clients",
        "regate auth rotate --type=host --grace-period=72h",
        "regate auth rotate --type=user --phase=rollback",
        "regate auth rotate status",
    ),
)
@click.option("--type", "kind", type=click.Choice(TYPES), default=None, help="Which authority.")
@click.option(
    "--phase",
    type=click.Choice([*PHASES, "update_clients", "update_servers"]),
    default=None,
    metavar=f"[{'|'.join(PHASES)}]",
    help="The phase to enter; implies --manual for init.",
)
@click.option("--manual", is_flag=True, help="Enter each phase by hand, with --phase.")
@click.option(
    "--grace-period",
    "grace",
    type=_grace,
    default=None,
    metavar="DURATION",
    help="How long an automatic rotation takes; 0s refuses the old authority at once. [default: 30h]",
)
@format_option
@config_option
@click.pass_context
def rotate(
    context: click.Context,
    kind: str | None,
    phase: str | None,
    grace: int | None,
    form: str,
    config: str,
    proxy: str,
    *,
    manual: bool,
) -> None:
    """Replace one of the cluster's authorities by a new one.

    Both are trusted until the end, so that nothing is interrupted: init makes the new one known,
    update-clients signs whoever connects with it, update-servers whoever is connected to, standby forgets the
    old one. rollback goes back from any of them, and standby after it forgets the new one. Without --manual
    the phases follow by themselves, a third of the grace period each.
    """
    if context.invoked_subcommand is not None:
        return
    if kind is None:
        raise ConfigError("which authority?", hint=f"give --type={'|'.join(TYPES)}")
    body: dict[str, Any] = {"type": kind, "manual": manual, "phase": phase or ""}
    if grace is not None:
        body["grace_seconds"] = grace
    shown = channel.admin(config, proxy).post("/v1/auth/rotation", body)
    output.show(shown, form, lambda: _say(shown))


@rotate.command(epilog=examples("regate auth rotate status", "regate auth rotate status --format=json"))
@format_option
@config_option
def status(form: str, config: str, proxy: str) -> None:
    """Show in which phase each authority is, and what comes next."""
    found = channel.admin(config, proxy).get("/v1/auth/rotation")["rotations"]
    output.show(found, form, lambda: _table(found))


def _say(shown: Mapping[str, Any]) -> None:
    kind, phase = shown["type"], shown["phase"]
    click.echo(f"The {kind} authority is in phase {phase}.")
    if phase == "standby" and not shown["rotated"]:
        click.echo("The new authority is forgotten, the old one stays in force.")
    elif (kind, phase) in _NEXT:
        click.echo(f"  {_NEXT[kind, phase]}")
    if phase in {"init", "update-clients", "update-servers"} and kind in _DOCTOR:
        click.echo(f"  {_DOCTOR[kind]}")
    if shown["due"]:
        click.echo(f"It moves on by itself at {shown['due'][:16].replace('T', ' ')} UTC.")
    elif phase != "standby":
        command = f"regate auth rotate --type={kind} --phase={shown['next_phases'][0]}"
        click.echo(f"Then: {command}")


def _table(found: list[Mapping[str, Any]]) -> None:
    rows = []
    for item in found:
        since = item["entered"] or item["rotated"]
        following = item["due"] or (f"by hand: {item['next_phases'][0]}" if item["entered"] else "")
        signing = [one for one in item["authorities"] if one["signs"]]
        rows.append(
            [
                item["type"],
                item["phase"],
                since[:16].replace("T", " "),
                following[:16].replace("T", " ") if item["due"] else following,
                ", ".join(one["key_id"][:8] for one in item["authorities"]),
                ", ".join(one["key_id"][:8] for one in signing),
            ]
        )
    output.table(["Type", "Phase", "Since (UTC)", "Next", "Trusted", "Signs"], rows)
