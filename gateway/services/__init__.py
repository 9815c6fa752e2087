"""Puts the parts together into the services that ``regate start`` runs."""

from gateway.config import Config


async def run(config: Config) -> None:
    """Run the services that *config* enables until SIGINT or SIGTERM."""
    from gateway.services.run import run as run_all  # noqa: PLC0415 # the parts are heavy, commands are not

    await run_all(config)
