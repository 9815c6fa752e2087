"""A process that serves: which services its file enables, what ends it, and what it says meanwhile."""

import asyncio  # noqa: TID251
import gc
import resource
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from gateway.ca import keys
from gateway.config import Config
from gateway.observe import logs
from gateway.services import alone, diagnostics, proxy, proxy_alone
from gateway.services.assembly import assembled
from gateway.services.cluster import Cluster
from gateway.session.denial import local_denial
from gateway.transport.listener import listen

STOP_SECONDS = 5.0
SWITCH_SECONDS = 0.0002
_GENERATIONS = (50_000, 20, 50)  # fewer collector pauses: what lives long is frozen, the rest dies young


async def run(config: Config) -> None:
    """Serve until SIGINT or SIGTERM; prints the addresses and the CA pin when ready.

    What still starts, and may wait for something that never comes, is given up at once; so is, at a second
    signal, what does not end.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # keys are in memory; children, too, leave no core file
    stop, heeds = asyncio.Event(), asyncio.Event()
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None

    def end() -> None:
        if stop.is_set() or not heeds.is_set():
            task.cancel()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    logs.configure(level=_level(config.log.severity), json=_json(config.log.format))
    try:
        if config.services in {("db",), ("proxy",)}:
            heeds.set()  # those look at *stop* while they start, too
        if config.services == ("db",):
            await alone.database_service(config, stop, _tune_interpreter)
            return
        if config.services == ("proxy",):
            await proxy_alone.proxy_service(config, stop, _tune_interpreter)
            return
        _find_ports_free(config)
        async with (
            assembled(config) as running,
            diagnostics.serving(running),
            proxy.listening(running) as address,
            _farewell(running),
        ):
            _tune_interpreter()
            heeds.set()
            _announce(running, address)
            await stop.wait()
            print("Stopping", flush=True)  # noqa: T201 - the command's own words
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        print("Stopped", flush=True)  # noqa: T201 - the same
    except BaseExceptionGroup as group:
        raise _innermost(group) from None


@asynccontextmanager
async def _farewell(running: Cluster) -> AsyncIterator[None]:
    """When the block ends, every session is told why; the listener, which ends after this, cuts the rest."""
    yield
    stopping = local_denial(running.clock, "service_stopping", "the gateway is being stopped")
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_SECONDS):
            await asyncio.gather(
                running.environment.live.end_all(stopping),
                *[follower.end_all(stopping) for follower in running.publisher.followers],
            )


def _find_ports_free(config: Config) -> None:
    """A port that is taken is found before the state is opened, an OPA started and a start recorded."""
    for place in (config.listens_at, *config.proxy_service.protocols.values()):
        listen(place.host, place.port).close()


def _tune_interpreter() -> None:
    """Fewer collector pauses, and a log writer that need not wait 5 ms for the interpreter's lock."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GENERATIONS)


def _announce(running: Cluster, address: str) -> None:
    public = ", ".join(str(item) for item in running.config.proxy_service.public)
    lines = (
        f"Cluster:  {running.config.cluster_name}",
        f"Listens:  {address} (clients reach it as {public})",
        f"CA pin:   {keys.host_ca_pin(running.authorities)}",
        f"Commands: {running.config.admin_socket}",
        "Ready",
    )
    print("\n".join(lines), flush=True)  # noqa: T201 - the command's own words


def _innermost(error: BaseException) -> BaseException:
    """The one error behind the task groups that it passed through."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _level(severity: str) -> str:
    return {"WARN": "warning"}.get(severity.upper(), severity.lower())


def _json(form: str) -> bool | None:
    return {"json": True, "text": False}.get(form)
