"""All parts of the three services in one process: what is made of what, and in which order it starts.

Order matters: the log before anybody acts, the policy before anybody is let in. Stopping goes the other way
round.
"""

import asyncio  # noqa: TID251
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from gateway import ranges
from gateway.api.caller import service_by_certificate
from gateway.api.estate import Estate
from gateway.api.evidence_intake import EvidenceIntake
from gateway.api.logs import Intake, ServiceFromRequest
from gateway.audit import naming, wording
from gateway.audit.depot import Depot
from gateway.audit.log import AuditLog
from gateway.auth.authority import Auth
from gateway.auth.databases import to_resource
from gateway.auth.keyring import Keyring
from gateway.auth.store import Store
from gateway.ca.keys import Authorities
from gateway.ca.profile import Kind as Ca
from gateway.clock import Clock, SystemClock
from gateway.config import Config
from gateway.model.resource import Database
from gateway.observe.health import Health
from gateway.observe.metrics import Metrics
from gateway.services import lifecycle, policy
from gateway.services.alarms import Alarms
from gateway.services.cluster import Cluster
from gateway.services.control import keep_in_step
from gateway.services.databases import Databases
from gateway.services.evidence import evidence
from gateway.services.feed import Feed
from gateway.services.fetching import Fetcher
from gateway.services.here import Here, certificates_of, opener
from gateway.services.hooks import hooks
from gateway.services.labels import DynamicLabels
from gateway.services.policies import Policies
from gateway.services.publisher import Publisher
from gateway.services.shadowing import Shadowing
from gateway.session.catalog import Catalogs
from gateway.session.dial import Dialler
from gateway.session.environment import Environment
from gateway.session.facts import Classifier
from gateway.session.lease import Lease
from gateway.session.live import Live
from gateway.session.minted import Minted, maker
from gateway.tunnel.links import Links
from gateway.tunnel.relay import Relay


@dataclass(frozen=True, slots=True)
class _Ground:
    """What there is before the policy: the state, its keys, and the log under its name."""

    store: Store
    keyring: Keyring
    audit: AuditLog
    origin: str


@asynccontextmanager
async def assembled(config: Config) -> AsyncIterator[Cluster]:
    """All parts but the listeners; when the block ends everything is closed, the log last."""
    clock, metrics = SystemClock(), Metrics()
    log = structlog.get_logger("regate")
    async with AsyncExitStack() as stack:
        ground = await _ground(stack, config, clock, metrics)
        store, keyring, audit = ground.store, ground.keyring, ground.audit
        authorities = keyring.authorities
        labels = DynamicLabels(config.db_service, log)
        await labels.start()
        await store.declare([to_resource(database) for database in labels.databases()])
        sidecar = await stack.enter_async_context(
            await policy.prepare(config, store, authorities, clock, metrics)
        )
        in_force = evidence(stack, sidecar, config.audit_dir, audit, clock)
        databases = Databases()
        live = Live.paced(config.db_service.connects_per_second, clock.monotonic)
        auth = await Auth.open(store, keyring, clock, hooks(sidecar, audit, databases, clock))
        feed = Feed(auth.elsewhere, authorities, sidecar, _proxies(config))
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
        classifier = await stack.enter_async_context(Classifier())
        dialler = _dialler(config, authorities, auth, clock)
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
            wording=wording.of(config.texts, authorities.mask_salt, ground.origin),
        )
        estate = _estate(config, keyring, ground.origin, clock)
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
            health=Health(("policy", "audit", "state")),
            estate=estate,
            intakes=_intakes(estate, auth, service_by_certificate(authorities, clock)),
            log=log,
        )
        await stack.enter_async_context(_background(running, labels))
        yield running


async def _ground(stack: AsyncExitStack, config: Config, clock: Clock, metrics: Metrics) -> _Ground:
    """Open what all else stands on; the start is recorded once this returns, the stop when *stack* ends."""
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = await stack.enter_async_context(await Store.open(config.storage))
    keyring = await Keyring.open(
        store,
        sealing_key=config.storage.sealing_key,
        folder=config.data_dir / "keys",
        cluster=config.cluster_name,
        clock=clock,
    )
    origin = naming.node_log(config.audit_dir, config.cluster_name, is_shared=store.is_shared, clock=clock)
    audit = await AuditLog.open(
        config.audit_dir, key=keyring.authorities.audit_key, origin=origin, clock=clock, metrics=metrics
    )
    stack.push_async_callback(audit.close)
    await lifecycle.restored(audit, clock, config.data_dir)
    await stack.enter_async_context(lifecycle.recorded(audit, clock, config.cluster_name, config.services))
    return _Ground(store, keyring, audit, origin)


def _dialler(config: Config, authorities: Authorities, auth: Auth, clock: Clock) -> Dialler:
    """Connects to databases with certificates that are made here."""
    minted = Minted(maker(authorities, auth.steady), clock)
    authorities.on_change(minted.forget)
    return Dialler(minted, ranges.parse(config.db_service.deny_addresses))


def _intakes(estate: Estate, auth: Auth, service: ServiceFromRequest) -> tuple[Intake, EvidenceIntake]:
    """What takes in the logs of other services, and what their decisions were made from."""
    evidence_of = EvidenceIntake(estate.depot, auth.logs, service, estate.directory, estate.clock)
    return Intake(estate.depot, auth.logs, service), evidence_of


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
        keyring.authorities.mask_salt,
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


async def _fetch_policies(running: Cluster) -> None:
    source = running.config.policy.source
    if source is not None:
        await Fetcher(source, running.policies, running.log).run()


async def _watch_health(running: Cluster) -> None:
    while True:
        running.health.report("audit", running.audit.reason)
        running.health.report("policy", "" if running.sidecar.ready else "the policy engine does not answer")
        await asyncio.sleep(0.5)


def _proxies(config: Config) -> list[str]:
    """Where services elsewhere find proxies. An auth service by itself names its proxy first, then itself."""
    public = [str(item) for item in config.proxy_service.public]
    return public if config.proxy_service.enabled else public[:1]


def _nowhere(_name: str) -> Database | None:
    """Where no database service runs, nothing is dialled from here."""
    return None
