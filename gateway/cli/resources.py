"""``regate create|get|edit|rm``: roles, users, databases, tokens and locks as YAML documents."""

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli import channel, output
from gateway.cli.client import Api, segment
from gateway.cli.options import config_option, examples
from gateway.errors import ConfigError, RegateError

KINDS = ("role", "user", "db", "token", "lock", "guard")
_PLURALS = {f"{kind}s": kind for kind in KINDS} | {"databases": "db", "database": "db"}


def reference(value: str) -> tuple[str, str]:
    """``KIND`` or ``KIND/NAME`` as a pair, the name empty where none was given: a type for click."""
    typed, _, name = value.partition("/")
    kind = _PLURALS.get(typed, typed)
    if kind not in KINDS:
        raise click.BadParameter(f"{typed!r} is no kind of resource; there are {', '.join(KINDS)}")
    return kind, name


def full_reference(value: str) -> tuple[str, str]:
    """``KIND/NAME`` as a pair: a type for click."""
    kind, name = reference(value)
    if not name:
        raise click.BadParameter(f"expected {kind}/NAME")
    return kind, name


@click.command(
    epilog=examples(
        "regate create role.yaml",
        "regate create --force role.yaml",
        "cat roles/*.yaml | regate create",
    )
)
@click.argument("file", default="-")
@click.option("-f", "--force", is_flag=True, help="Replace resources that are stored already.")
@click.option("--format", "form", type=click.Choice(output.FORMATS), default="text", help="How to print.")
@config_option
def create(file: str, form: str, config: str, proxy: str, *, force: bool) -> None:
    """Store the resources of a YAML file.

    FILE may hold several documents; with - or no FILE they come from standard input. A file with a mistake
    changes nothing.
    """
    text = _read(file)
    body = {"text": text, "filename": "<stdin>" if file == "-" else file, "replace": force}
    answer = channel.admin(config, proxy).post("/v1/resources", body)
    _warn(answer)
    output.show(answer["resources"], form, lambda: _say_stored(answer["resources"]))


@click.command(
    epilog=examples(
        "regate get roles", "regate get role/db-access", "regate get db/my-postgres --format=json"
    )
)
@click.argument("which", metavar="KIND[/NAME]", type=reference)
@click.option(
    "--format",
    "form",
    type=click.Choice(output.FORMATS),
    default="yaml",
    show_default=True,
    help="How to print; text is a table.",
)
@config_option
def get(which: tuple[str, str], form: str, config: str, proxy: str) -> None:
    """Print stored resources."""
    kind, name = which
    api = channel.admin(config, proxy)
    found = [_one(api, kind, name)] if name else api.get(f"/v1/resources/{kind}")["resources"]
    documents = [item["document"] for item in found]
    if form == "yaml":
        for index, document in enumerate(documents):
            if index:
                click.echo("---")
            output.show(document, "yaml", lambda: None)
        return
    rows = [(item["kind"], item["name"], str(item["revision"])) for item in found]
    output.show(documents, form, lambda: output.table(("Kind", "Name", "Revision"), rows))


@click.command(epilog=examples("regate rm role/db-access", "regate rm lock/incident-12"))
@click.argument("which", metavar="KIND/NAME", type=full_reference)
@config_option
def rm(which: tuple[str, str], config: str, proxy: str) -> None:
    """Remove a stored resource."""
    kind, name = which
    channel.admin(config, proxy).delete(f"/v1/resources/{kind}/{segment(name)}")
    click.echo(f'{kind} "{output.clean(name)}" has been removed')


@click.command(epilog=examples("regate edit role/db-access", "EDITOR=nano regate edit user/alice"))
@click.argument("which", metavar="KIND/NAME", type=full_reference)
@config_option
def edit(which: tuple[str, str], config: str, proxy: str) -> None:
    """Change a stored resource in an editor.

    The editor is that of VISUAL or EDITOR. When somebody else changed the resource meanwhile, nothing is
    stored, and your text is kept.
    """
    import yaml  # noqa: PLC0415 # only this command needs it

    kind, name = which
    api = channel.admin(config, proxy)
    stored = _one(api, kind, name)
    before = yaml.safe_dump(stored["document"], sort_keys=False, allow_unicode=True)
    after = click.edit(before, extension=".yaml", require_save=True)
    if after is None or after == before:
        click.echo("nothing has changed")
        return
    body = {"text": after, "filename": f"{kind}/{name}", "revision": stored["revision"]}
    try:
        answer = api.put(f"/v1/resources/{kind}/{segment(name)}", body)
    except RegateError as error:
        kept = _keep(after, kind)
        raise type(error)(str(error), hint=f"your text is kept in {kept}") from error
    _warn(answer)
    click.echo(f'{kind} "{output.clean(name)}" has been updated')


def _one(api: Api, kind: str, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = api.get(f"/v1/resources/{kind}/{segment(name)}")
    return found


def _read(file: str) -> str:
    try:
        if file == "-":
            return sys.stdin.read()
        return Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text") from error


def _warn(answer: Mapping[str, Any]) -> None:
    for warning in answer.get("warnings", ()):
        click.echo(f"warning: {warning}", err=True)


def _say_stored(stored: list[dict[str, Any]]) -> None:
    for item in stored:
        click.echo(f'{item["kind"]} "{output.clean(item["name"])}" has been {item["action"]}')
        if item.get("secret"):
            click.echo(f"  its token, shown this once: {item['secret']}")


def _keep(text: str, kind: str) -> str:
    descriptor, path = tempfile.mkstemp(prefix=f"regate-{kind}-", suffix=".yaml")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return path
