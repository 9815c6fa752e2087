"""Statements that the log holds sealed, or as a digest: an auditor's key, and how such records are read."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli import channel, output, private
from gateway.cli.options import config_option, examples, format_option
from gateway.errors import ConfigError

_MOST = 1024 * 1024  # bytes of a statement that is asked about
_AROUND = " \t\r\n"
_SEALED = "statement_sealed"


@click.command(epilog=examples("regate audit keygen --out=auditor.key"))
@click.option("--out", metavar="FILE", required=True, help="Where the secret key goes; it must not exist.")
def keygen(out: str) -> None:
    """Make an auditor's key: the secret half in a file, the public half for audit.recipients.

    With audit.statements: sealed in the file that regate start reads, statements are recorded encrypted to
    the public keys in audit.recipients. Whoever has a secret key reads them: audit ls --identity-file=FILE.
    Keep it away from the gateway. It is a key of age (https://age-encryption.org), which opens them, too.
    """
    from gateway.audit.wording import new_identity  # noqa: PLC0415 # what few commands need

    path = Path(out)
    if path.exists() or path.is_symlink():
        hint = "choose another name: without that key, what was sealed for it stays sealed"
        raise ConfigError(f"{path} is there already", hint=hint)
    secret, public = new_identity()
    private.write(path, f"# public key: {public}\n{secret}\n".encode("ascii"))
    click.echo(public)


@click.command(epilog=examples("regate audit digest statement.sql", "regate audit digest - < statement.sql"))
@click.argument("file")
@format_option
@config_option
def digest(file: str, form: str, config: str, proxy: str) -> None:
    """Print what each log has in the place of one statement's text, with audit.statements: fingerprint.

    FILE holds one statement as it was sent; - is stdin. Its records are those that regate audit ls
    --text=DIGEST lists. Only the auth service can make the digest, and only from the text.
    """
    try:
        with click.open_file(file, encoding="utf-8") as stream:
            text = stream.read(_MOST)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from error
    text = text.strip(_AROUND).removesuffix(";").rstrip(_AROUND)
    if not text:
        raise ConfigError(f"{file} holds no statement")
    found = channel.admin(config, proxy).post("/v1/audit/digest", {"statement": text})["origins"]
    output.show(
        found, form, lambda: output.table(("Digest", "Log"), [(at, name) for name, at in found.items()])
    )


def opened(records: Iterable[Any], path: Path) -> Iterator[dict[str, Any]]:
    """*records* with what the identity in *path* opens as their statements; what it does not stays sealed.

    Raises ConfigError, at the end, when there were sealed statements and none of them was for this identity.
    """
    from gateway.audit.wording import Opener  # noqa: PLC0415 # what few commands need

    try:
        opener = Opener(private.read(path).decode("ascii", "replace"))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no file {path}") from error
    seen = count = 0
    for record in records:
        fields: Mapping[str, Any] = record.get("fields", {})
        if _SEALED not in fields:
            yield record
            continue
        seen += 1
        text = opener.open(str(fields[_SEALED]))
        if text is None:
            yield record
            continue
        count += 1
        rest = {name: value for name, value in fields.items() if name != _SEALED}
        yield {**record, "fields": {**rest, "statement": text}}
    if seen and not count:
        raise ConfigError(f"none of {seen} sealed statements was sealed for the key in {path}")
