"""``regate version``."""

from importlib import metadata

import click

from gateway.cli import output
from gateway.cli.options import examples, format_option


@click.command(epilog=examples("regate version", "regate version --format=json"))
@format_option
def version(form: str) -> None:
    """Print the version."""
    number = metadata.version("regate")
    output.show({"version": number}, form, lambda: click.echo(f"regate {number}"))
