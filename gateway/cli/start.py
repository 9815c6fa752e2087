"""``regate start``: the services in the foreground, until a signal."""

from pathlib import Path

import click

from gateway.cli.options import examples


@click.command(epilog=examples("regate start -c /etc/regate.yaml"))
@click.option(
    "-c",
    "--config",
    metavar="FILE",
    default="/etc/regate.yaml",
    show_default=True,
    envvar="REGATE_CONFIG",
    help="The configuration. [env: REGATE_CONFIG]",
)
def start(config: str) -> None:
    """Run the services that a configuration file enables.

    Prints the addresses and the CA pin when they are ready, and ends on SIGINT or SIGTERM.
    """
    import uvloop  # noqa: PLC0415 # keeps regate --help quick

    from gateway import services  # noqa: PLC0415 # the same
    from gateway.config_file import load  # noqa: PLC0415

    uvloop.run(services.run(load(Path(config))))
