"""A group of commands that are imported only when they run, so that ``--help`` is quick."""

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is asked for.

    *known* maps a name to (module below ``gateway.cli`` : command, the first line of its help). The line
    stands there too, so that a list of commands needs no import; a test compares the two.
    """

    def __init__(self, *args: Any, known: Mapping[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self.known = known

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 # click's signature
        """All names, in the order of a newcomer's day."""
        return list(self.known)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 # as above
        """The command called *cmd_name*."""
        if cmd_name not in self.known:
            return None
        module, _, name = self.known[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(f"gateway.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list for ``--help``, without importing what it lists."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in self.known.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command to run; a misspelt one comes with the nearest name."""
        if args and args[0] not in self.known and not args[0].startswith("-"):
            import difflib  # noqa: PLC0415 # only for a mistake

            near = difflib.get_close_matches(args[0], self.known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)
