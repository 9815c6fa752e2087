"""``regate bot``: on a machine, the identity of a bot."""

import signal
import threading
from datetime import datetime
from functools import cache, partial
from pathlib import Path

import click

from gateway.cli import machine, output, profile
from gateway.cli.machine import Machine
from gateway.cli.options import duration, examples, secret_from_file, trust_options
from gateway.clock import SystemClock, utc
from gateway.errors import ConfigError

_LONGEST = 3600


@click.group()
def bot() -> None:
    """A machine's own identity, kept fresh."""


@bot.command(
    epilog=examples(
        "regate bot start --proxy=gate.example.com:3080 --ca-pin=sha256:… --token-file=token --out=bot",
        "regate bot start --proxy=gate.example.com:3080 --out=bot --oneshot",
        "REGATE_HOME=bot regate db connect --db-user=ci --db-name=mydb my-postgres",
    )
)
@click.option("--proxy", metavar="HOST:PORT", required=True, envvar="REGATE_PROXY", help="The proxy.")
@trust_options
@click.option(
    "--token-file",
    metavar="FILE",
    default="",
    help="Read the join token from this file, - for standard input; only while there is no identity.",
)
@click.option(
    "--out",
    "--destination-dir",
    "out",
    metavar="DIR",
    required=True,
    help="The folder for the identity; other commands use it with REGATE_HOME=DIR.",
)
@click.option(
    "--certificate-ttl",
    type=duration,
    default="1h",
    show_default=True,
    help="How long each is good, 1h at most.",
)
@click.option("--oneshot", is_flag=True, help="Join or renew once, then end.")
def start(
    proxy: str, ca_pin: str, proxy_ca: str, token_file: str, out: str, certificate_ttl: int, *, oneshot: bool
) -> None:
    """Join with a bot's token, and keep the certificate fresh from then on.

    The private keys are made here and stay here. The token is used up by the first certificate; each further
    one is asked for with the one before, so that an identity is renewed in one place only: where a copy of it
    is renewed too, the bot is locked. SIGTERM and Ctrl-C end it; what it wrote stays good until the
    certificate ends.
    """
    if certificate_ttl > _LONGEST:
        raise click.UsageError("a bot's certificate is good for 1h at most")
    one = Machine(
        out=Path(out).absolute(),
        proxy=profile.proxy_address(proxy),
        now=lambda: utc(SystemClock()),
        token=cache(partial(_token, token_file, out)),  # standard input can be read once
        pin=ca_pin,
        proxy_ca=proxy_ca,
        ttl_seconds=certificate_ttl,
    )
    with one.alone():
        if oneshot:
            _say(machine.told(one.refresh()))
        else:
            machine.keep(one, _until_a_signal(), _say)


def _token(path: str, out: str) -> str:
    if not path:
        raise ConfigError(
            f"there is no identity in {out}, or it has ended",
            hint="give --token-file; on the cluster: regate tokens add --type=bot --bot=NAME",
        )
    return secret_from_file(path, "token")


def _until_a_signal() -> machine.Pause:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop.wait


def _say(sentence: str) -> None:
    click.echo(f"{datetime.now().astimezone():%H:%M:%S} {output.clean(sentence)}", err=True)
