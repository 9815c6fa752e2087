"""The three services in one process: what is started, in which order, and how it is stopped again.

Order matters: the log before anybody acts, the policy before anybody is let in, the listeners last. Stopping
goes the other way round.
"""

import asyncio  # noqa: TID251
import gc
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import structlog

from gateway.api.caller import service_by_certificate
from gateway.api.estate import Estate
from gateway.api.logs import Intake
from gateway.audit import naming
from gateway.audit.depot import Depot
from gateway.audit.log import AuditLog
from gateway.auth.authority import Auth
from gateway.auth.databases import to_resource
from gateway.auth.keyring import Keyring
from gateway.auth.store import Store
from gateway.ca import keys
from gateway.ca.profile import Kind as Ca
from gateway.clock import Clock, SystemClock
from gateway.config import Config
from gateway.model.resource import Database
from gateway.observe import logs
from gateway.observe.health import Health
from gateway.observe.metrics import Metrics
from gateway.policy.keeper import Keeper
from gateway.services import alone, diagnostics, lifecycle, policy, proxy, proxy_alone
from gateway.services.alarms import Alarms
from gateway.services.cluster import Cluster
from gateway.services.control import keep_in_step
from gateway.services.databases import Databases
from gateway.services.evidence import InForce
from gateway.services.feed import Feed
from gateway.services.fetching import Fetcher
from gateway.services.here import Here, certificates_of, opener
from gateway.services.hooks import hooks
from gateway.services.labels import DynamicLabels
from gateway.services.policies import Policies
from gateway.services.publisher import Publisher
from gateway.services.shadowing import Shadowing
from gateway.session.catalog import Catalogs
from gateway.session.denial import local_denial
from gateway.session.dial import Dialler
from gateway.session.environment import Environment
from gateway.session.facts import Classifier
from gateway.session.lease import Lease
from gateway.session.listener import listen
from gateway.session.live import Live
from gateway.session.minted import Minted, maker
from gateway.tunnel.links import Links
from gateway.tunnel.relay import Relay

STOP_SECONDS = 5.0
SWITCH_SECONDS = 0.0002
_GENERATIONS = (50_000, 20, 50)  # fewer collector pauses: what lives long is frozen, the rest dies young


async def run(config: Config) -> None:
    """Serve until SIGINT or SIGTERM; prints the addresses and the CA pin when ready.

    What still starts, and may wait for something that never comes, is given up at once; so is, at a second
    signal, what does not end.
    """
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
            cluster(config) as running,
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
async def cluster(config: Config) -> AsyncIterator[Cluster]:
    """All parts but the listeners; when the block ends everything is closed, the log last."""
    clock, metrics, health = SystemClock(), Metrics(), Health(("policy", "audit", "state"))
    log = structlog.get_logger("regate")
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(await Store.open(config.storage))
        keyring = await Keyring.open(
            store,
            sealing_key=config.storage.sealing_key,
            folder=config.data_dir / "keys",
            cluster=config.cluster_name,
            clock=clock,
        )
        authorities = keyring.authorities
        origin = naming.node_log(
            config.audit_dir, config.cluster_name, is_shared=store.is_shared, clock=clock
        )
        audit = await AuditLog.open(
            config.audit_dir, key=authorities.audit_key, origin=origin, clock=clock, metrics=metrics
        )
        stack.push_async_callback(audit.close)
        await lifecycle.restored(audit, clock, config.data_dir)
        await stack.enter_async_context(
            lifecycle.recorded(audit, clock, config.cluster_name, config.services)
        )
        labels = DynamicLabels(config.db_service, log)
        await labels.start()
        await store.declare([to_resource(database) for database in labels.databases()])
        sidecar = await stack.enter_async_context(
            await policy.prepare(config, store, authorities, clock, metrics)
        )
        keeper = Keeper(config.audit_dir, clock)
        stack.push_async_callback(asyncio.to_thread, keeper.close)
        sidecar.client.keeper = keeper
        in_force = InForce(keeper, audit, clock)
        databases, live = Databases(), Live()
        auth = await Auth.open(store, keyring, clock, hooks(sidecar, audit, databases, clock))
        feed = Feed(auth.elsewhere, authorities, sidecar, str(config.proxy_service.public[0]))
        links = Links(lambda: certificates_of(authorities, Ca.HOST), clock, log)
        feed.judge = links.judge
        authorities.on_change(feed.nudge)
        publisher = Publisher(store, sidecar, databases, live, log, keep=in_force.data, tell=feed.tell)
        stack.push_async_callback(auth.close)
        sidecar.client.alarm = Alarms(audit, sidecar, clock)
        opa = await policy.program(config)
        shadowing = Shadowing(sidecar, opa, authorities.bundle_key, audit, clock)
        stack.push_async_callback(shadowing.stop)
        in_force.shadowing = shadowing
        policies = Policies(config, authorities, sidecar, auth, audit, in_force, clock, shadowing)
        policies.changed = publisher.again
        await publisher.publish()
        await lifecycle.policy_in_force(audit, clock, sidecar, in_force)
        classifier = Classifier()
        await classifier.start()
        stack.push_async_callback(classifier.close)
        minted = Minted(maker(authorities, auth.steady), clock)
        authorities.on_change(minted.forget)
        dialler = Dialler(minted)
        environment = Environment(
            cluster=config.cluster_name,
            clock=clock,
            policy=sidecar.client,
            audit=audit,
            dialler=dialler,
            databases=databases.get if config.db_service.enabled else _nowhere,
            live=live,
            lease=Lease(clock),
            classifier=classifier,
            catalogs=Catalogs(dialler, clock),
            metrics=metrics,
            log=log,
            elsewhere=Relay(links, Here(authorities, databases), opener(auth.elsewhere), clock, log),
            salt=authorities.mask_salt,
        )
        estate = _estate(config, keyring, origin, clock)
        running = Cluster(
            config=config,
            clock=clock,
            authorities=authorities,
            store=store,
            keyring=keyring,
            audit=audit,
            auth=auth,
            sidecar=sidecar,
            databases=databases,
            publisher=publisher,
            policies=policies,
            environment=environment,
            feed=feed,
            links=links,
            health=health,
            estate=estate,
            intake=Intake(estate.depot, auth.logs, service_by_certificate(authorities, clock)),
            log=log,
        )
        await stack.enter_async_context(_background(running, labels))
        yield running


def _estate(config: Config, keyring: Keyring, origin: str, clock: Clock) -> Estate:
    """This service's own log, and where those of the others are kept."""
    return Estate(
        config.audit_dir,
        keyring.authorities.audit_key.public_key(),
        origin,
        config.cluster_name,
        clock,
        Depot(config.data_dir / "logs"),
        clock.now_ns(),
    )


@asynccontextmanager
async def _background(running: Cluster, labels: DynamicLabels) -> AsyncIterator[None]:
    """What runs beside the sessions, for the length of the block."""

    async def relabel(databases: Sequence[Database]) -> None:
        await running.auth.declare(databases)

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(running.publisher.run()),
            group.create_task(keep_in_step(running)),
            group.create_task(running.environment.live.sweep_forever()),
            group.create_task(_watch_health(running)),
            group.create_task(_fetch_policies(running)),
            group.create_task(labels.run(relabel)),
        ]
        yield
        for task in tasks:
            task.cancel()


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


async def _fetch_policies(running: Cluster) -> None:
    source = running.config.policy.source
    if source is not None:
        await Fetcher(source, running.policies, running.log).run()


async def _watch_health(running: Cluster) -> None:
    while True:
        running.health.report("audit", running.audit.reason)
        running.health.report("policy", "" if running.sidecar.ready else "the policy engine does not answer")
        await asyncio.sleep(0.5)


def _nowhere(_name: str) -> Database | None:
    """Where no database service runs, nothing is dialled from here."""
    return None


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
