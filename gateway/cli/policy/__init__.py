"""``regate policy``: access rules as code; one module for each command."""

import click

from gateway.cli.lazy import LazyGroup

# name -> (module below gateway.cli : command, the first line of its help), as in gateway.cli.main.
COMMANDS: dict[str, tuple[str, str]] = {
    # A policy repository, from its first file to the cluster.
    # What policies and statements mean: nothing here changes anything.
    "facts": ("policy.facts:facts", "Print what the classifier finds in a statement."),
    "corpus": ("policy.corpus:corpus", "Judge a corpus, and print what came out otherwise than it must."),
}


@click.group(cls=LazyGroup, known=COMMANDS)
def policy() -> None:
    """Access rules as code: understand, test and compare them."""
