"""``regate install systemd``: a unit that starts the services with the host, and what it needs there."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.options import examples
from gateway.cli.target import HELP, path_of
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from gateway.config import Config

_UNITS = Path("/etc/systemd/system")


@click.group()
def install() -> None:
    """Make the services start with this host."""


@install.command(
    epilog=examples(
        "sudo regate install systemd -c /etc/regate.yaml && sudo systemctl enable --now regate",
        "regate install systemd -c /etc/regate-db.yaml --output=stdout",
    )
)
@click.option("-c", "--config", metavar="FILE", required=True, help="The file that regate start reads.")
@click.option("--name", default="regate", show_default=True, help="What the unit is called.")
@click.option("--user", default="regate", show_default=True, help="The account it runs as; made if missing.")
@click.option(
    "-o",
    "--output",
    "target",
    default="",
    metavar=HELP,
    help="Where to write the unit; stdout changes nothing. [default: /etc/systemd/system/NAME.service]",
)
def systemd(config: str, name: str, user: str, target: str) -> None:
    """Write a hardened systemd unit, and prepare what it needs.

    The account is made, the data directory and the join token's file are given to it. An older unit of that
    name is replaced. Nothing is started.
    """
    from gateway import config_file  # noqa: PLC0415 # reading YAML costs a quarter of a second
    from gateway.cli.systemd import Unit  # noqa: PLC0415 # as above

    read = config_file.load(Path(config))
    text = Unit(read, _program(), user).text()
    place = path_of(target or str(_UNITS / f"{name}.service"))
    if place is None:
        click.echo(text, nl=False)
        return
    if os.geteuid() != 0:
        hint = "run it with sudo, or look at the unit with --output=stdout"
        raise ConfigError("only root can install a unit and prepare its account", hint=hint)
    account = _account(user, read.data_dir)
    _give(read.data_dir, account, folder=True)
    if read.join is not None and read.join.token_file is not None:
        _give(read.join.token_file, account, folder=False)
    _replace(place, text)
    _reload(place)
    click.echo(f"The unit is written to {place}. It runs as {user}. Next:")
    click.echo(f"  systemctl enable --now {place.stem}")
    click.echo(f"  journalctl -u {place.stem} -f")
    for line in _unreadable(read, account):
        click.echo(f"note: {line}", err=True)


def _program() -> Path:
    """The ``regate`` that runs now, by its absolute path."""
    beside = Path(sys.executable).with_name("regate")
    found = shutil.which("regate")
    return beside if beside.exists() or found is None else Path(found).absolute()


def _account(name: str, home: Path) -> pwd.struct_passwd:
    """The account, made as a system account without a login if it is missing."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        pass
    command = ["useradd", "--system", "--user-group", "--no-create-home", f"--home-dir={home}"]
    try:
        done = subprocess.run(  # noqa: S603 # argv, no shell; useradd refuses names that are none
            [*command, "--shell=/usr/sbin/nologin", "--", name], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise ConfigError("useradd is not there", hint=f"make the system account {name}") from error
    if done.returncode != 0:
        raise ConfigError(f"the account {name!r} could not be made: {done.stderr.strip()[:200]}")
    return pwd.getpwnam(name)


def _give(path: Path, account: pwd.struct_passwd, *, folder: bool) -> None:
    """Hand *path* to the account. A data directory with somebody else's keys in it is left as it is."""
    try:
        if folder and not path.exists():
            path.mkdir(mode=0o700, parents=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        said = f"note: {path} is not there yet; the account {account.pw_name} must be able to read it"
        click.echo(said, err=True)
        return
    except OSError as error:
        raise ConfigError(f"cannot open {path}: {os.strerror(error.errno or 0)}") from error
    try:
        found = os.fstat(descriptor)
        if found.st_uid == account.pw_uid:
            return
        if folder and any(path.iterdir()):
            raise ConfigError(
                f"{path} belongs to another account and is not empty",
                hint=f"stop what uses it, then: chown -R {account.pw_name}: {path}",
            )
        os.fchown(descriptor, account.pw_uid, account.pw_gid)
        os.fchmod(descriptor, 0o700 if folder else 0o600)
    finally:
        os.close(descriptor)


def _replace(place: Path, text: str) -> None:
    temporary = place.with_name(f".{place.name}.new")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(0o644)
        temporary.replace(place)
    except OSError as error:
        raise ConfigError(f"cannot write {place}: {os.strerror(error.errno or 0)}") from error


def _reload(place: Path) -> None:
    """Let a running systemd read the unit; where none runs there is nothing to do."""
    if place.parent == _UNITS and Path("/run/systemd/system").is_dir() and shutil.which("systemctl"):
        subprocess.run(["systemctl", "daemon-reload"], check=False)  # noqa: S607 # the host's own


def _unreadable(read: "Config", account: pwd.struct_passwd) -> list[str]:
    """Files named in the configuration that the account cannot read by their modes."""
    paths = [read.path, *(Path(item.secret_file) for item in read.db_service.databases if item.secret_file)]
    lines = []
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            lines.append(f"{path} is not there")
            continue
        if not (found.st_mode & 0o004 or (found.st_uid == account.pw_uid and found.st_mode & 0o400)):
            lines.append(f"{account.pw_name} cannot read {path}; chown {account.pw_name}: {path}")
    return lines
