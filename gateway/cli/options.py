"""Options that several commands share, and values that they have in common."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.cli import output
from gateway.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])

MAX_SECRET = 4096  # bytes of a password or token read from a file or a pipe
_DURATION = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?\Z")


def examples(*lines: str) -> str:
    """The end of a command's ``--help``."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def config_option(function: F) -> F:
    """``-c FILE`` and ``--proxy`` for the commands of an administrator."""
    function = click.option(
        "-c",
        "--config",
        metavar="FILE",
        default="",
        help="On the host of the auth service: its configuration file. [env: REGATE_CONFIG; "
        "default: /etc/regate.yaml]",
    )(function)
    return proxy_option(function)


def proxy_option(function: F) -> F:
    """``--proxy`` for the commands that use a login."""
    return click.option(
        "--proxy",
        metavar="HOST:PORT",
        default="",
        envvar="REGATE_PROXY",
        help="Use the login to this proxy. [env: REGATE_PROXY; default: the last login]",
    )(function)


def trust_options(function: F) -> F:
    """``--ca-pin`` and ``--proxy-ca`` for the commands that meet a proxy for the first time."""
    function = click.option(
        "--ca-pin",
        metavar="sha256:…",
        default="",
        envvar="REGATE_CA_PIN",
        help="The digest of the cluster's authority, as regate start prints it.",
    )(function)
    return click.option(
        "--proxy-ca",
        metavar="FILE",
        default="",
        help="Verify the proxy with the authorities in this PEM file.",
    )(function)


def format_option(function: F) -> F:
    """``--format=text|json|yaml``."""
    return click.option(
        "-f",
        "--format",
        "form",
        type=click.Choice(output.FORMATS),
        default="text",
        show_default=True,
        help="How to print.",
    )(function)


def password_stdin_option(function: F) -> F:
    """``--password-stdin``: scripts pipe the password, because an argument would show in process lists."""
    return click.option(
        "--password-stdin",
        is_flag=True,
        help="Read the password from standard input, its first line; a login's code from the second.",
    )(function)


def duration(value: str | int) -> int:
    """The seconds in ``8h``, ``90m``, ``1h30m`` or ``30d``: a type for click."""
    if isinstance(value, int):
        return value
    found = _DURATION.match(value)
    parts = [int(part or 0) for part in found.groups()] if found else []
    seconds = sum(part * unit for part, unit in zip(parts, (86400, 3600, 60, 1), strict=False))
    if seconds <= 0:
        raise click.BadParameter(f"{value!r} is no duration; write it as in 8h, 90m or 1h30m")
    return seconds


def names(value: str | list[str]) -> list[str]:
    """The names in ``access,db-access``, each once: a type for click."""
    if isinstance(value, list):
        return value
    found = [name.strip() for name in value.split(",")]
    if not all(found):
        raise click.BadParameter(f"{value!r} has an empty name in it")
    return list(dict.fromkeys(found))


def labels(value: str | dict[str, str]) -> dict[str, str]:
    """The labels in ``env=production,team=platform``: a type for click."""
    if isinstance(value, dict):
        return value
    found: dict[str, str] = {}
    for name, label in _pairs(value):
        if name in found:
            raise click.BadParameter(f"the label {name!r} is given twice")
        found[name] = label
    return found


def selector(value: str | dict[str, list[str]]) -> dict[str, list[str]]:
    """The same where one label may have several values, as in ``env=dev,env=test``: a type for click."""
    if isinstance(value, dict):
        return value
    found: dict[str, list[str]] = {}
    for name, label in _pairs(value):
        found.setdefault(name, []).append(label)
    return found


def _pairs(value: str) -> list[tuple[str, str]]:
    pairs = []
    for part in value.split(","):
        name, equals, label = part.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{part!r} is no label; write it as in env=production,team=platform")
        pairs.append((name.strip(), label.strip()))
    return pairs


def secret_from_stdin(what: str) -> str:
    """The first line of standard input, which must not be empty."""
    line = sys.stdin.readline(MAX_SECRET + 1)
    return _one_line(line, what, "standard input")


def secret_from_file(path: str, what: str) -> str:
    """The first line of a file, ``-`` for standard input."""
    if path == "-":
        return secret_from_stdin(what)
    try:
        with Path(path).open(encoding="utf-8") as file:
            return _one_line(file.readline(MAX_SECRET + 1), what, path)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text") from error


def ask(what: str, *, hint: str, twice: bool = False) -> str:
    """Ask for a secret on the terminal; without one, say how a script gives it."""
    if not sys.stdin.isatty():
        raise ConfigError(f"there is no terminal to ask for the {what.lower()}", hint=hint)
    answer = click.prompt(what, hide_input=True, confirmation_prompt=twice, err=True)
    return str(answer)


def _one_line(line: str, what: str, where: str) -> str:
    text = line.rstrip("\r\n")
    if not text:
        raise ConfigError(f"there is no {what} in {where}")
    if len(text.encode("utf-8")) > MAX_SECRET:
        raise ConfigError(f"the {what} in {where} is longer than {MAX_SECRET} bytes")
    return text
