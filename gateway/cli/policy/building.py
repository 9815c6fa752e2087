"""``regate policy keygen|build|sign|verify``: from a repository to a bundle that a cluster accepts."""

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

import click

from gateway.cli import output
from gateway.cli.options import examples, format_option
from gateway.cli.policy import repository
from gateway.errors import ConfigError, ConflictError, PolicyError
from gateway.policy import admission, publish, signing
from gateway.policy.install import ensure_opa
from gateway.schema import data_dir


@click.command(epilog=examples("regate policy keygen", "regate policy keygen --output=team"))
@click.option(
    "--output", "stem", default="policy", show_default=True, metavar="NAME", help="NAME.key, NAME.pem."
)
def keygen(stem: str) -> None:
    """Make a key for signing bundles.

    NAME.key signs and is kept secret; NAME.pem verifies, and is named under policy.keys of the cluster.
    """
    private, public = Path(f"{stem}.key"), Path(f"{stem}.pem")
    for path in (private, public):
        if path.exists():
            raise ConflictError(f"{path} is there already", hint="give another name with --output")
    key = signing.new_key()
    private.touch(mode=0o600)
    private.write_bytes(signing.private_pem(key))
    public.write_bytes(signing.public_pem(key))
    click.echo(
        f"{private} signs: keep it secret. {public} verifies: name it under policy.keys of the cluster."
    )


@click.command(
    epilog=examples(
        "regate policy build", "regate policy build --number=12 --key=policy.key --output=p.tar.gz"
    )
)
@click.argument("folder", default=".")
@click.option(
    "--output", "out", default="dist/policy.tar.gz", show_default=True, metavar="FILE", help="Where to."
)
@click.option(
    "--number",
    type=click.IntRange(1),
    default=None,
    help="The revision's number, which must rise. [default: how many commits git counts, or 1]",
)
@click.option("--key", metavar="FILE", default="", help="Sign it with this key at once.")
@format_option
def build(folder: str, out: str, number: int | None, key: str, form: str) -> None:
    """Build a bundle of the library, the team's guards and the roles.

    The same input gives the same bytes, wherever it is built.
    """
    here = repository.at(folder)
    made = make(here, Path(out), number or commits(here.root), key)
    output.show(made, form, lambda: _say_built(made))


@click.command(epilog=examples("regate policy sign dist/policy.tar.gz --key=policy.key"))
@click.argument("file")
@click.option("--key", metavar="FILE", required=True, help="The private key in PEM.")
def sign(file: str, key: str) -> None:
    """Sign a bundle, in its place.

    A signature that it has already is replaced.
    """
    path = existing(file)
    try:
        signing.sign(ensure_opa(), path, path, signing.private_key(Path(key)))
    except PolicyError as error:
        raise ConfigError(
            f"{path} is no bundle: {error}", hint="make one with: regate policy build"
        ) from error
    click.echo(f"signed {path}: sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")


@click.command(epilog=examples("regate policy verify dist/policy.tar.gz --key=policy.pem"))
@click.argument("file")
@click.option("--key", "keys", metavar="FILE", required=True, multiple=True, help="A public key in PEM.")
@format_option
def verify(file: str, keys: tuple[str, ...], form: str) -> None:
    """Check a bundle as a cluster would before it takes effect.

    Its signature, contract, compilation, the places of its packages, and every field that it reads.
    """
    path = existing(file)
    found = admission.admit(ensure_opa(), path.read_bytes(), [signing.public_key(Path(key)) for key in keys])
    shown = {
        "revision": found.revision,
        "number": found.number,
        "signed_by": found.signer,
        "roles": sorted(found.roles),
    }

    def text() -> None:
        click.echo(f"{path}: revision {found.revision}, signed by {found.signer}")
        for warning in found.warnings:
            click.echo(f"warning: {warning}", err=True)

    output.show(shown, form, text)


def make(here: repository.Repository, out: Path, number: int, key: str) -> dict[str, Any]:
    """Build *here* into *out*, signed where a key is named."""
    program = ensure_opa()
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        revision = publish.build_unsigned(
            program, data_dir("policies"), here.root, out, number, roles=here.roles()
        )
    except PolicyError as error:
        raise ConfigError(str(error), hint=error.hint) from error
    if key:
        signing.sign(program, out, out, signing.private_key(Path(key)))
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    return {"file": str(out), "revision": revision, "number": number, "sha256": digest, "signed": bool(key)}


def commits(root: Path) -> int:
    """How many commits led here; 1 outside of a git repository."""
    try:
        done = subprocess.run(  # noqa: S603 # fixed words and a folder
            ["git", "-C", str(root), "rev-list", "--count", "HEAD"],  # noqa: S607 # git as the user has it
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return 1
    return max(1, int(done.stdout)) if done.returncode == 0 else 1


def existing(file: str) -> Path:
    """The path of a file that can be read; ConfigError for any other."""
    path = Path(file)
    if not os.access(path, os.R_OK) or not path.is_file():
        raise ConfigError(f"cannot read {path}", hint="make it with: regate policy build")
    return path


def _say_built(made: dict[str, Any]) -> None:
    click.echo(f"{made['file']}: revision {made['revision']}, sha256:{made['sha256']}")
    if not made["signed"]:
        click.echo(f"It is not signed: regate policy sign {made['file']} --key=policy.key", err=True)
