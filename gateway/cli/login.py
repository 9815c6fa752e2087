"""``regate login|logout|status``: who you are, proved once, for hours."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from gateway.cli import channel, keys, output, profile
from gateway.cli.client import Api
from gateway.cli.failures import LoginNeededError
from gateway.cli.options import (
    ask,
    config_option,
    duration,
    examples,
    format_option,
    password_stdin_option,
    proxy_option,
    secret_from_stdin,
    trust_options,
)
from gateway.cli.profile import Profile
from gateway.clock import SystemClock, utc
from gateway.errors import AccessError, ConfigError

TOTP_NEEDED = "totp_required"


@click.command(
    epilog=examples(
        "regate login --proxy=localhost:3080 --ca-pin=sha256:… --user=alice",
        "regate login                  # again, to the same proxy as the same user",
        "regate login --user=ci --password-stdin < password",
    )
)
@proxy_option
@click.option("--user", default="", envvar="REGATE_USER", help="Your account. [env: REGATE_USER]")
@trust_options
@click.option("--ttl", type=duration, default=None, help="A shorter validity than roles allow, as in 2h.")
@password_stdin_option
@format_option
def login(
    proxy: str,
    user: str,
    ca_pin: str,
    proxy_ca: str,
    ttl: int | None,
    form: str,
    *,
    password_stdin: bool,
) -> None:
    """Log in to a cluster and get a certificate of hours.

    The private key is made here and stays here. Before the password is sent, the proxy is verified with
    --ca-pin, --proxy-ca, what an earlier login kept, or the system's roots.
    """
    chosen = _profile_for(proxy)
    name = user or chosen.user
    if not name:
        raise ConfigError("who are you?", hint="give --user=NAME")
    api, trusted = channel.establish(chosen, pin=ca_pin, proxy_ca=proxy_ca)
    ping = api.get("/v1/ping")  # an unverified proxy is found out before anybody types a password
    password = (
        secret_from_stdin("password")
        if password_stdin
        else ask(f"Password for {output.clean(name)}", hint="give --password-stdin")
    )
    made = keys.make()
    body: dict[str, Any] = {"user": name, "password": password, "csr": made.request_pem}
    if ttl is not None:
        body["ttl_seconds"] = ttl
    answer = _post_login(api, body, is_script=password_stdin)
    others = channel.others(chosen.proxy, ping)
    chosen = replace(chosen, cluster=answer["cluster"], user=answer["user"], others=others)
    channel.learn(chosen, answer, trusted)
    profile.save_login(chosen, key=made.key_pem, certificate=answer["certificate"])
    shown = _about(chosen, answer)
    output.show(shown, form, lambda: _say(shown))


@click.command(epilog=examples("regate logout", "regate logout --proxy=localhost:3080"))
@proxy_option
def logout(proxy: str) -> None:
    """Remove the login and every database certificate from this machine."""
    now = utc(SystemClock())
    chosen = [profile.current(proxy, now=now)] if proxy else profile.all_profiles(now=now)
    gone = [one for one in chosen if one.login is not None]
    for one in chosen:
        profile.forget_login(one)
    for one in gone:
        click.echo(f"Logged out of {one.proxy}")
    if not gone:
        click.echo("There was no login")


@click.command(
    epilog=examples("regate status", "regate status --format=json", "regate status -c /etc/regate.yaml")
)
@format_option
@config_option
def status(form: str, config: str, proxy: str) -> None:
    """Show who you are logged in as, and until when.

    On the host of the auth service, with -c or without a login, it shows the cluster and its CA pin.
    """
    if config:
        _show_cluster(channel.admin(config, ""), form)
        return
    now = utc(SystemClock())
    try:
        chosen = profile.current(proxy, now=now)
        profile.need_login(chosen)
    except LoginNeededError:
        host = None if proxy else channel.on_this_host()
        if host is None:
            raise
        _show_cluster(host, form)
        return
    answer = channel.api(chosen).get("/v1/status")
    channel.learn(chosen, answer, channel.kept_trust(chosen))
    shown = _about(chosen, answer)
    shown["databases"] = [
        {
            "name": item.route.database,
            "db_user": item.route.db_user,
            "db_name": item.route.db_name,
            "valid_until": item.certified.expires.isoformat(),
        }
        for item in profile.database_logins(chosen, now=now)
    ]
    output.show(shown, form, lambda: _say(shown))


def _show_cluster(api: Api, form: str) -> None:
    found = api.get("/v1/cluster")
    counts = ", ".join(f"{number} {kind}" for kind, number in found["counts"].items())
    lines = [
        ("Cluster", output.clean(found["cluster"])),
        ("Proxy", found["public_addr"]),
        ("CA pin", found["ca_pin"]),
        ("Stored", counts),
        *((f"{kind} CA", f"valid until {end[:10]}") for kind, end in found["authorities"].items()),
    ]
    output.show(found, form, lambda: _say_lines(lines))


def _profile_for(proxy: str) -> Profile:
    now = utc(SystemClock())
    if proxy:
        return profile.open_profile(profile.proxy_address(proxy), now=now)
    return profile.current("", now=now)


def _post_login(api: Api, body: dict[str, Any], *, is_script: bool) -> Mapping[str, Any]:
    """Log in; where the password was right and a code is wanted, ask for it and say both again."""
    try:
        answer: Mapping[str, Any] = api.post("/v1/login", body)
    except AccessError as error:
        if error.code != TOTP_NEEDED:
            raise
        what = "code from your authenticator app"
        body["totp"] = secret_from_stdin(what) if is_script else ask(what.capitalize(), hint="")
        answer = api.post("/v1/login", body)
    return answer


def _about(chosen: Profile, answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "proxy": str(chosen.proxy),
        "cluster": answer["cluster"],
        "user": answer["user"],
        "roles": answer["roles"],
        "valid_until": answer["expires"],
    }


def _say(shown: Mapping[str, Any]) -> None:
    now = utc(SystemClock())
    lines = [
        ("Proxy", shown["proxy"]),
        ("Logged in as", output.clean(shown["user"])),
        ("Cluster", output.clean(shown["cluster"])),
        ("Roles", ", ".join(output.clean(role) for role in shown["roles"]) or "none"),
        ("Valid until", output.until(output.moment(shown["valid_until"]), now)),
    ]
    for item in shown.get("databases", ()):
        route = f"{item['name']} as {item['db_user']} on {item['db_name'] or 'its default database'}"
        end = output.until(output.moment(item["valid_until"]), now)
        lines.append(("Database", f"{output.clean(route)}, until {end}"))
    _say_lines(lines)


def _say_lines(lines: Sequence[tuple[str, str]]) -> None:
    for heading, text in lines:
        click.echo(f"{heading + ':':<14}{text}")
