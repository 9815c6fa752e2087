"""The reference page of all commands, made from the commands themselves; a test keeps the two in step."""

from collections.abc import Iterator

import click

from gateway.cli.main import cli

_HEAD = """\
# Commands

<!-- Made by: python -m gateway.cli.reference > docs/reference/cli.md -->

Exit codes stand in [docs/cli.md](../cli.md).
"""


def commands() -> Iterator[click.Command]:
    """Every command of the tree, groups before what they hold."""
    for command, _ in _walk(cli, "regate"):
        yield command


def page() -> str:
    """All commands with their ``--help``, as Markdown."""
    parts = [_HEAD]
    for command, name in _walk(cli, "regate"):
        context = click.Context(command, info_name=name, terminal_width=100, max_content_width=100)
        parts.append(f"\n## {name}\n\n```\n{command.get_help(context).rstrip()}\n```\n")
    return "".join(parts)


def _walk(command: click.Command, name: str) -> Iterator[tuple[click.Command, str]]:
    yield command, name
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None
            yield from _walk(found, f"{name} {inner}")


if __name__ == "__main__":
    click.echo(page(), nl=False)
