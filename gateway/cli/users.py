"""``regate users``: accounts, sign-up tokens, and accepting one on a person's own machine."""

from collections.abc import Mapping
from typing import Any

import click

from gateway.cli import channel, output, profile
from gateway.cli.client import segment
from gateway.cli.options import (
    ask,
    config_option,
    duration,
    examples,
    format_option,
    names,
    password_stdin_option,
    secret_from_file,
    secret_from_stdin,
    trust_options,
)
from gateway.clock import SystemClock, utc
from gateway.errors import ConfigError


@click.group()
def users() -> None:
    """Accounts of people."""


@users.command(
    epilog=examples(
        "regate users add alice --roles=access", "regate users add bob --roles=access,editor --ttl=24h"
    )
)
@click.argument("name")
@click.option("--roles", type=names, required=True, help="Names of roles, with commas between them.")
@click.option("--db-users", type=names, default=None, help="The trait db_users, for {{internal.db_users}}.")
@click.option("--db-names", type=names, default=None, help="The trait db_names, for {{internal.db_names}}.")
@click.option("--ttl", type=duration, default="1h", show_default=True, help="How long the token is good.")
@format_option
@config_option
def add(
    name: str, roles: list[str], ttl: int, form: str, config: str, proxy: str, **traits: list[str] | None
) -> None:
    """Make an account and print its one-time sign-up token."""
    given = {trait: values for trait, values in traits.items() if values}
    body = {"name": name, "roles": roles, "traits": given, "ttl_seconds": ttl}
    answer = channel.admin(config, proxy).post("/v1/users", body)
    output.show(answer, form, lambda: _say_token(f'User "{output.clean(name)}" has been created.', answer))


@users.command(epilog=examples("regate users ls", "regate users ls --format=json"))
@format_option
@config_option
def ls(form: str, config: str, proxy: str) -> None:
    """List accounts."""
    found = channel.admin(config, proxy).get("/v1/users")["users"]
    rows = [(user["name"], ",".join(user["roles"]), _state(user)) for user in found]
    output.show(found, form, lambda: output.table(("User", "Roles", "State"), rows))


@users.command(epilog=examples("regate users rm alice"))
@click.argument("name")
@config_option
def rm(name: str, config: str, proxy: str) -> None:
    """Remove an account; its sessions end."""
    channel.admin(config, proxy).delete(f"/v1/users/{segment(name)}")
    click.echo(f'User "{output.clean(name)}" has been removed')


@users.command(epilog=examples("regate users reset alice", "regate users reset alice --ttl=30m"))
@click.argument("name")
@click.option("--ttl", type=duration, default="1h", show_default=True, help="How long the token is good.")
@format_option
@config_option
def reset(name: str, ttl: int, form: str, config: str, proxy: str) -> None:
    """Take away password and second factor, and print a new sign-up token."""
    body = {"ttl_seconds": ttl}
    answer = channel.admin(config, proxy).post(f"/v1/users/{segment(name)}/reset", body)
    sentence = f'User "{output.clean(name)}" has been reset.'
    output.show(answer, form, lambda: _say_token(sentence, answer))


@users.command(
    epilog=examples(
        "regate users update alice --set-roles=access,db-access",
        "regate users update alice --set-db-users=alice,reports --set-db-names=mydb",
    )
)
@click.argument("name")
@click.option("--set-roles", type=names, default=None, help="The roles from now on, with commas between.")
@click.option("--set-db-users", type=names, default=None, help="The trait db_users from now on.")
@click.option("--set-db-names", type=names, default=None, help="The trait db_names from now on.")
@config_option
def update(
    name: str,
    set_roles: list[str] | None,
    set_db_users: list[str] | None,
    set_db_names: list[str] | None,
    config: str,
    proxy: str,
) -> None:
    """Change an account's roles or traits; live sessions are judged again."""
    traits = {"db_users": set_db_users, "db_names": set_db_names}
    body: dict[str, Any] = {"traits": {trait: values for trait, values in traits.items() if values}}
    if set_roles:
        body["roles"] = set_roles
    if not set_roles and not body["traits"]:
        raise click.UsageError("nothing to change; give --set-roles, --set-db-users or --set-db-names")
    view = channel.admin(config, proxy).put(f"/v1/users/{segment(name)}", body)
    click.echo(f'User "{output.clean(name)}" has been updated: roles {",".join(view["roles"])}')


@users.command(
    epilog=examples(
        "regate users accept --proxy=localhost:3080 --ca-pin=sha256:…",
        "regate users accept --proxy=localhost:3080 --ca-pin=sha256:… --token-file=token --password-stdin",
    )
)
@click.option("--proxy", metavar="HOST:PORT", required=True, envvar="REGATE_PROXY", help="The proxy.")
@trust_options
@click.option("--token-file", metavar="FILE", default="", help="Read the token from this file.")
@password_stdin_option
@click.option("--totp/--no-totp", default=None, help="Set up one-time codes, or not, without asking.")
def accept(
    proxy: str, ca_pin: str, proxy_ca: str, token_file: str, *, password_stdin: bool, totp: bool | None
) -> None:
    """Accept an account with its sign-up token and choose a password.

    Run it on your own machine. The password and the token are asked for, or read from a file or a pipe; they
    are never arguments, because other users of the machine could see those.
    """
    if password_stdin and token_file == "-":  # noqa: S105 # the name of standard input, no secret
        raise ConfigError("the token and the password cannot both come from standard input")
    chosen = profile.open_profile(profile.proxy_address(proxy), now=utc(SystemClock()))
    api, _ = channel.establish(chosen, pin=ca_pin, proxy_ca=proxy_ca)
    api.get("/v1/ping")
    token = (
        secret_from_file(token_file, "token")
        if token_file
        else ask("Sign-up token", hint="give --token-file")
    )
    password = (
        secret_from_stdin("password")
        if password_stdin
        else ask("New password", hint="give --password-stdin", twice=True)
    )
    wants_totp = totp if totp is not None else _ask_totp(is_script=password_stdin)
    body = {"token": token, "password": password, "totp": wants_totp}
    answer = api.post("/v1/users/accept", body)
    if answer.get("totp_uri"):
        click.echo(f"Add this to your authenticator app:\n  {answer['totp_uri']}")
    # The next command is shown as it must be typed: with the same proof of who the proxy is.
    proof = f" --ca-pin={ca_pin}" if ca_pin else f" --proxy-ca={proxy_ca}" if proxy_ca else ""
    user = output.clean(str(answer["user"]))
    click.echo(f"The account is yours. Log in with:\n  regate login --proxy={proxy}{proof} --user={user}")


def _ask_totp(*, is_script: bool) -> bool:
    if is_script:
        return False
    return click.confirm(
        "Protect the account with one-time codes of an authenticator app?", default=False, err=True
    )


def _say_token(sentence: str, answer: Mapping[str, Any]) -> None:
    now = utc(SystemClock())
    end = output.until(output.moment(answer["expires"]), now)
    proxy, pin = answer.get("proxy") or "HOST:PORT", answer.get("ca_pin") or "sha256:…"
    click.echo(f"{sentence} The sign-up token works once, until {end}:\n")
    click.echo(f"  {answer['token']}\n")
    click.echo("On their own machine they run:")
    click.echo(f"  regate users accept --proxy={proxy} --ca-pin={pin}")


def _state(user: Mapping[str, Any]) -> str:
    return str(user["status"]) + (", one-time codes" if user["totp"] else "")
