"""``regate backup`` and ``regate restore``: state and keys, always behind a passphrase."""

import asyncio  # noqa: TID251
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import output, private
from gateway.cli.channel import DEFAULT_CONFIG
from gateway.cli.options import ask, examples, secret_from_file
from gateway.clock import SystemClock
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from gateway.services.backup import Restored

LEAST = 12  # characters; what it protects is every key of the cluster
_MOST_SHOWN = 20
_HINT = "give --passphrase-file=FILE, - for standard input"

_config = click.option(
    "-c",
    "--config",
    metavar="FILE",
    default=DEFAULT_CONFIG,
    show_default=True,
    envvar="REGATE_CONFIG",
    help="The configuration of the auth service on this host. [env: REGATE_CONFIG]",
)
_passphrase = click.option(
    "--passphrase-file", metavar="FILE", default="", help="Read the passphrase from here; - for stdin."
)


@click.command(
    epilog=examples(
        "regate backup --output=/mnt/safe/regate.age",
        "regate backup --output=regate.age --passphrase-file=/run/secrets/backup",
        "age -d regate.age | tar t",
    )
)
@click.option("--output", "target", metavar="FILE", required=True, help="Write the backup here, mode 0600.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
@_passphrase
@_config
def backup(target: str, passphrase_file: str, config: str, *, overwrite: bool) -> None:
    """Back up the cluster's state and keys, encrypted with a passphrase.

    Runs on the auth service's host, beside the service or without it. In the file is all that it takes to
    be this cluster: users, roles, authorities, signing keys. The audit log and the configuration are not in
    it. The file is in the age format; the passphrase has at least 12 characters.
    """
    from gateway import config_file  # noqa: PLC0415 -- keeps regate --help quick
    from gateway.services import archive  # noqa: PLC0415 -- the same
    from gateway.services.backup import take  # noqa: PLC0415 -- the same

    path = Path(target)
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} would be overwritten", hint="give --overwrite or another --output")
    loaded = config_file.load(Path(config))
    secret = _secret(passphrase_file, twice=True)
    if len(secret) < LEAST:
        raise ConfigError(f"the passphrase has {len(secret)} characters, expected at least {LEAST}")
    made = asyncio.run(take(loaded, SystemClock()))
    with output.working("Encrypting"):
        sealed = archive.seal(made, secret)
    private.write(path, sealed)
    click.echo(
        f"The backup of {made.manifest.cluster} at revision {made.manifest.data_revision} is in {path}."
    )
    click.echo("Nobody can read it without the passphrase, you included: keep both, apart from each other.")


@click.command(
    epilog=examples(
        "regate restore /mnt/safe/regate.age",
        "regate restore regate.age --passphrase-file=/run/secrets/backup --force",
    )
)
@click.argument("file")
@click.option("--force", is_flag=True, help="Replace the state and the key that are there.")
@_passphrase
@_config
def restore(file: str, passphrase_file: str, config: str, *, force: bool) -> None:
    """Put a backup of state and keys in the place that the configuration names.

    The service must be stopped, on every node. Certificates that were issued go on being valid. What was
    changed after the backup is undone, and listed from the audit log if it is there: look at it, above all
    at locks and at users that were removed. Revision numbers jump forward, and unused tokens are void.
    """
    from gateway import config_file  # noqa: PLC0415 -- keeps regate --help quick
    from gateway.services import archive  # noqa: PLC0415 -- the same
    from gateway.services.backup import put_back  # noqa: PLC0415 -- the same

    loaded = config_file.load(Path(config))
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(archive.MAX_BYTES)
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    secret = _secret(passphrase_file, twice=False)
    with output.working("Decrypting"):
        found = archive.unseal(data, secret, file)
    _tell(asyncio.run(put_back(loaded, found, SystemClock(), force=force)))


def _secret(file: str, *, twice: bool) -> str:
    if file:
        return secret_from_file(file, "passphrase")
    return ask("Passphrase", hint=_HINT, twice=twice)


def _tell(done: "Restored") -> None:
    from gateway.audit.encode import rfc3339  # noqa: PLC0415 -- only a restore needs it

    manifest = done.manifest
    click.echo(f"Restored {manifest.cluster} as of {manifest.created}.")
    click.echo(f"Revisions go on at {done.data_revision}, after {manifest.data_revision} in the backup.")
    if done.is_new_log:
        click.echo(f"There is no audit log here: {done.origin} begins, and names the old one's end.")
    if done.lost is None:
        click.echo("What was changed after the backup cannot be told without the audit log.")
    elif done.lost:
        click.echo(f"{len(done.lost)} changes after the backup are undone:")
        for item in done.lost[-_MOST_SHOWN:]:
            when, who = rfc3339(item.time_ns)[:19], item.user or "a service"
            click.echo(output.clean(f"  {when}Z {item.kind} {item.name} (by {who})"))
    else:
        click.echo("Nothing was changed after the backup.")
    click.echo("Start the service: regate start")
