"""A database service by itself: it joins, keeps its policy up to date, and serves what the proxies bring."""

import asyncio  # noqa: TID251
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger

from gateway.address import Address
from gateway.config import Config
from gateway.errors import AccessError, PolicyError, RegateError
from gateway.model.resource import Database
from gateway.policy.adopt import ARRIVED, adopt
from gateway.services.alone_parts import Parts, build
from gateway.session.denial import local_denial
from gateway.tunnel import ways
from gateway.tunnel.credentials import now
from gateway.tunnel.health import problems_of
from gateway.tunnel.join import until_joined
from gateway.tunnel.remote import Remote

HEARTBEAT_SECONDS = 10.0
LOOK_SECONDS = 30.0
REJUDGE_SECONDS = 30.0
STOP_SECONDS = 5.0
_BACK_OFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)


async def database_service(config: Config, stop: asyncio.Event, tune: Callable[[], None]) -> None:
    """Run until *stop* is set; *tune* is called once everything is loaded."""
    assert config.join is not None, "the configuration says where the cluster is"
    log = structlog.get_logger("regate")
    folder = config.data_dir / "service"
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    joining = asyncio.ensure_future(until_joined(folder, config.join, "db", platform.node(), (), log))
    if not await unless(stop, joining):
        return
    async with AsyncExitStack() as stack:
        remote = await stack.enter_async_context(Remote(config.join.server, joining.result()))
        remote.others = ways.load(folder)
        building = asyncio.ensure_future(build(config, folder, remote, stack, log))
        if not await unless(stop, building):
            return
        parts = building.result()
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        ready = asyncio.Event()
        work = [
            tasks.create_task(parts.agent.run()),
            tasks.create_task(_follow(parts, ready)),
            tasks.create_task(_beat(parts, ready)),
            tasks.create_task(keep_renewed(parts.remote, parts.folder, parts.log)),
            tasks.create_task(parts.shipper.run()),
            tasks.create_task(parts.evidence_shipper.run()),
            tasks.create_task(parts.labels.run(_told)),
            tasks.create_task(_rejudge(parts)),
            tasks.create_task(parts.env.live.sweep_forever()),
        ]
        tune()
        await unless(stop, asyncio.ensure_future(ready.wait()))
        _announce(parts)
        await stop.wait()
        print("Stopping", flush=True)  # noqa: T201 - the command's own words
        stopping = local_denial(parts.clock, "service_stopping", "the database service is being stopped")
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await parts.env.live.end_all(stopping)
        for task in work:
            task.cancel()


async def _told(_databases: Sequence[Database]) -> None:
    """New labels go out with the next heartbeat."""


async def unless(stop: asyncio.Event, work: "asyncio.Future[Any]") -> bool:
    """Wait for *work*; False, and the work is cancelled, when the service is to stop before."""
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({stopping, work}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if work.done():
        work.result()
        return True
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work
    return False


async def _follow(parts: Parts, ready: asyncio.Event) -> None:
    """Take up every change as it is told; go on with what is known while nobody tells."""
    failures = 0
    while True:
        try:
            async for told in parts.remote.follow():
                await _take(parts, told)
                failures = 0
                ready.set()
        except AccessError as error:
            parts.log.warning("this service may not serve any more", error=str(error), code=error.code)
            parts.agent.reach(())
            for session in parts.env.live:
                session.end(local_denial(parts.clock, error.code, str(error)))
        except RegateError as error:
            parts.log.warning("the auth service tells nothing", error=str(error))
        await asyncio.sleep(_BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS) - 1)])
        failures += 1


async def _take(parts: Parts, told: Mapping[str, Any]) -> None:
    parts.env.lease.renew()
    credentials = parts.remote.credentials
    trusting = credentials.trusting(**told["trust"])
    if trusting != credentials:
        parts.remote.use(trusting)
        await asyncio.to_thread(trusting.save, parts.folder)
    if told["bundle"] != parts.sidecar.bundle.revision:
        about = await parts.remote.bundle()
        bundle = await asyncio.to_thread(adopt, parts.opa, about, parts.folder / "policy", parts.key)
        await parts.sidecar.replace_bundle(bundle, rollback=True)  # the auth service decided on it
    await parts.sidecar.push(told["data"], told["revision"])
    await parts.in_force.data(told["data"], told["revision"])
    arrived = parts.folder / "policy" / ARRIVED
    await parts.in_force.adopted(parts.sidecar.bundle.revision, arrived, told["revision"])
    await parts.env.live.rejudge(parts.sidecar.client)
    assert parts.config.join is not None
    first = parts.config.join.server
    others = tuple(item for item in ways.parsed(told["proxies"]) if item != first)
    parts.agent.reach((first, *others))
    if others != parts.remote.others:
        parts.remote.others = others
        await _keep(parts, others)


async def _keep(parts: Parts, others: Sequence[Address]) -> None:
    """For a start at which the proxy in the file is away; that it cannot be kept stops nothing."""
    try:
        await asyncio.to_thread(ways.save, parts.folder, others)
    except OSError as error:
        parts.log.warning("the other proxies' addresses are not kept", error=str(error))


async def _beat(parts: Parts, ready: asyncio.Event) -> None:
    """Say what is served here, and how it is."""
    await ready.wait()
    problems: dict[str, str] = {}
    told: set[tuple[str, str]] = set()
    looked_at = float("-inf")
    while True:
        try:
            databases = parts.labels.databases()
            offered = [(item, problems.get(item.name, "not looked at yet")) for item in databases]
            refused = await parts.remote.register(offered)
            parts.env.lease.renew()
            for item in refused:
                if (item.name, item.code) not in told:
                    parts.log.error("database not served", error=item.message, code=item.code, hint=item.hint)
            told = {(item.name, item.code) for item in refused}
            _serve(parts, databases, {item.name for item in refused})
            if parts.clock.monotonic() - looked_at >= LOOK_SECONDS:
                looked_at = parts.clock.monotonic()
                found = await problems_of(parts.served.values(), parts.env.dialler, parts.settings)
                if found != problems:
                    problems = found
                    continue
        except RegateError as error:
            parts.log.warning("no heartbeat", error=str(error))
        await asyncio.sleep(HEARTBEAT_SECONDS)


def _serve(parts: Parts, databases: Sequence[Database], refused: set[str]) -> None:
    """What may be served from now on; an unchanged database stays the same object."""
    named = {item.name: item for item in databases if item.name not in refused}
    for gone in set(parts.served) - set(named):
        del parts.served[gone]
    for name, item in named.items():
        if parts.served.get(name) != item:
            parts.served[name] = item


async def keep_renewed(remote: Remote, folder: Path, log: FilteringBoundLogger) -> None:
    """A new key and certificate at two thirds of the old one's life, or when another authority signs now.

    The latter once for each set of authorities: in the middle of a rotation the first of them need not be
    the one that signs for this service.
    """
    asked = ""
    while True:
        left = remote.credentials.seconds_to_renewal(now())
        is_behind = remote.credentials.is_of_another_authority and remote.credentials.host_ca != asked
        if left > 0 and not is_behind:
            await asyncio.sleep(min(left, HEARTBEAT_SECONDS))
            continue
        before = remote.credentials.host_ca
        try:
            renewed = await remote.renew()
        except RegateError as error:
            log.warning("the certificate could not be renewed", error=str(error))
            await asyncio.sleep(HEARTBEAT_SECONDS)
        else:
            asked = before if is_behind else asked
            remote.use(renewed)
            await asyncio.to_thread(renewed.save, folder)
            log.info("certificate renewed")


async def _rejudge(parts: Parts) -> None:
    """Time windows and locks end by the clock, without a change of state."""
    while True:
        await asyncio.sleep(REJUDGE_SECONDS)
        with suppress(PolicyError):
            await parts.env.live.rejudge(parts.sidecar.client)


def _announce(parts: Parts) -> None:
    assert parts.config.join is not None
    lines = (
        f"Cluster:  {parts.remote.credentials.cluster}",
        f"Service:  {parts.remote.credentials.id}",
        f"Proxy:    {parts.config.join.server}",
        "Ready",
    )
    print("\n".join(lines), flush=True)  # noqa: T201 - the command's own words
