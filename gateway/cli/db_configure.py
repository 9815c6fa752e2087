"""``regate db configure create``: the file of a database service that joins with a token."""

import re
import shlex
from pathlib import Path
from typing import Any

import click

from gateway.cli.options import examples, labels
from gateway.cli.target import HELP, path_of, quoted, write_new
from gateway.cli.trust import check_pin_form
from gateway.errors import ConfigError

_TOKEN = re.compile(r"[0-9a-fA-F]{32,}")
_DYNAMIC = re.compile(r"(?P<name>[^=]+)=\[(?P<period>[^:\]]+):(?P<command>[^\]]+)\]\Z")

_TEMPLATE = """\
# A database service of Regate, for the host that reaches the database.
# Start it with: regate start -c {path}
version: v3

regate:
  # Keys, certificates and the audit log of this service. Only its owner may read it.
  data_dir: {data_dir}
  # It dials out to here; nothing has to reach this host.
  proxy_server: {proxy}
  # A file with a token of: regate tokens add --type=db. Not needed any more once the service has joined.
  auth_token: {token}
{pin}
db_service:
  enabled: true
  databases:
    - name: {name}
      description: {description}
      protocol: {protocol}
      uri: {uri}
{more}
auth_service:
  enabled: false
proxy_service:
  enabled: false
ssh_service:
  enabled: false
"""

_PIN = """\
  # The cluster's authority, by the digest of its key, as regate status on the auth service's host prints it.
  ca_pin: {pin}
"""
_NO_PIN = """\
  # Without a pin the proxy must show a certificate that this host's roots trust.
  # ca_pin: sha256:…
"""


@click.group()
def configure() -> None:
    """Configuration of database services."""


@configure.command(
    epilog=examples(
        "regate db configure create --token=/tmp/token --ca-pin=sha256:… --proxy=proxy.example.com:3080 \\",
        "  --name=my-postgres --protocol=postgres --uri=postgres.internal:5432 \\",
        "  --labels=env=production,team=platform --output=file:///etc/regate-db.yaml",
    )
)
@click.option(
    "--token", metavar="FILE", required=True, help="The file that holds the join token on the service's host."
)
@click.option("--ca-pin", metavar="sha256:…", default="", help="The digest of the cluster's authority.")
@click.option(
    "--proxy", metavar="HOST:PORT", required=True, help="The proxy to dial; the port is 443 unless given."
)
@click.option("--name", required=True, help="What the database is called in the cluster.")
@click.option("--description", default="", help="A line for people.")
@click.option("--protocol", required=True, help="What the database speaks, as in postgres.")
@click.option(
    "--uri", metavar="HOST:PORT", required=True, help="Where the database is, seen from the service."
)
@click.option("--labels", type=labels, default=None, help="Labels, as in env=production,team=platform.")
@click.option(
    "--dynamic-label",
    "dynamic",
    multiple=True,
    metavar="NAME=[PERIOD:COMMAND]",
    help="A label whose value a command prints, as in 'zone=[5m:/usr/bin/zone --short]'; may be repeated.",
)
@click.option(
    "--ca-cert-file", metavar="FILE", default="", help="Who signed the database server's certificate, in PEM."
)
@click.option("--server-name", default="", help="The name in its certificate, if not the host's.")
@click.option(
    "--data-dir",
    default="/var/lib/regate",
    show_default=True,
    help="Where the service keeps keys and its log.",
)
@click.option(
    "-o", "--output", "target", default="stdout", show_default=True, metavar=HELP, help="Where to write it."
)
def create(target: str, **given: Any) -> None:
    """Write the file of a database service that serves one database.

    The file names the token's file and never holds the token itself. More databases are more entries below
    databases.
    """
    from gateway import config, config_file  # noqa: PLC0415 # reading YAML costs a quarter of a second

    path = path_of(target)
    text = _text(path or config.DEFAULT_PATH, **given)
    config_file.parse(text, path or Path("regate.yaml"))  # what it writes must load
    if path is None:
        click.echo(text, nl=False)
        return
    write_new(path, text)
    click.echo(f"The configuration of a database service is written to {path}. Next, one of:")
    click.echo(f"  regate start -c {shlex.quote(str(path))}")
    click.echo(
        f"  sudo regate install systemd -c {shlex.quote(str(path))} && sudo systemctl enable --now regate"
    )


def _text(
    path: Path, *, labels: dict[str, str] | None, dynamic: tuple[str, ...], ca_pin: str, **given: str
) -> str:
    tls = {name: given[name] for name in ("ca_cert_file", "server_name") if given[name]}
    plain = {name: quoted(given[name]) for name in ("proxy", "name", "description", "protocol", "uri")}
    return _TEMPLATE.format(
        path=path,
        data_dir=quoted(str(Path(given["data_dir"]).absolute())),
        token=quoted(str(_token_file(given["token"]))),
        pin=_PIN.format(pin=check_pin_form(ca_pin)) if ca_pin else _NO_PIN,
        more=_mapping("static_labels", labels or {}) + _dynamic(dynamic) + _mapping("tls", tls),
        **plain,
    )


def _token_file(given: str) -> Path:
    """The token's file as an absolute path; the token itself is refused, and not repeated."""
    if _TOKEN.fullmatch(given) and not Path(given).exists():
        raise ConfigError(
            "--token takes a file, not the token: other users of this host can read a command's arguments",
            hint="make a new token: regate tokens add --type=db --format=text > /tmp/token",
        )
    return Path(given).absolute()


def _mapping(heading: str, values: dict[str, str]) -> str:
    lines = [f"        {quoted(name)}: {quoted(value)}\n" for name, value in values.items()]
    return "".join([f"      {heading}:\n", *lines]) if lines else ""


def _dynamic(given: tuple[str, ...]) -> str:
    entries = []
    for text in given:
        found = _DYNAMIC.match(text)
        if found is None:
            raise click.BadParameter(
                f"{text!r} is not NAME=[PERIOD:COMMAND], as in 'zone=[5m:/usr/bin/zone]'"
            )
        command = ", ".join(quoted(word) for word in shlex.split(found["command"]))
        entries.append(
            f"        - name: {quoted(found['name'])}\n"
            f"          command: [{command}]\n"
            f"          period: {quoted(found['period'])}\n"
        )
    return "".join(["      dynamic_labels:\n", *entries]) if entries else ""
