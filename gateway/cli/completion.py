"""``regate completion``: the script that lets a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class

from gateway.cli.options import examples


@click.command(
    epilog=examples(
        "regate completion bash > /etc/bash_completion.d/regate",
        "regate completion zsh > ~/.zfunc/_regate",
        "regate completion fish > ~/.config/fish/completions/regate.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a shell."""
    made = get_completion_class(shell)
    assert made is not None
    # The class's own source() would first start bash to check its version; the script is the same.
    script = made(ctx.find_root().command, {}, "regate", "_REGATE_COMPLETE")
    click.echo(script.source_template % script.source_vars())
