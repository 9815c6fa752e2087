"""What a database service by itself consists of, and how that is put together.

Order matters here, too: its own log before anybody acts, the policies before anybody is let in.
"""

import asyncio  # noqa: TID251
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from structlog.typing import FilteringBoundLogger

from gateway import ranges
from gateway.audit import wording
from gateway.audit.log import AuditLog
from gateway.audit.log_shipper import Shipper
from gateway.audit.ship import origin_of
from gateway.ca.ring import key_pem
from gateway.clock import Clock, SystemClock
from gateway.config import Config
from gateway.errors import BackendError, ConfigError
from gateway.files import private_directory, read_private, write_private
from gateway.model.resource import Database
from gateway.observe.health import Health
from gateway.observe.metrics import Metrics
from gateway.policy.adopt import adopt
from gateway.policy.install import ensure_opa
from gateway.policy.sidecar.supervisor import Sidecar
from gateway.services import lifecycle
from gateway.services.courier import shipper
from gateway.services.evidence import InForce, evidence
from gateway.services.evidence_shipper import EvidenceShipper
from gateway.services.labels import DynamicLabels
from gateway.session.catalog import Catalogs
from gateway.session.dial import Dialler
from gateway.session.environment import Environment
from gateway.session.facts import Classifier
from gateway.session.lease import Lease
from gateway.session.live import Live
from gateway.tunnel.agent import Agent
from gateway.tunnel.holds import RemoteHolds
from gateway.tunnel.minting import RemoteSettings
from gateway.tunnel.remote import Remote


@dataclass(frozen=True, slots=True)
class Parts:
    """What a database service consists of, once it runs."""

    config: Config
    folder: Path
    clock: Clock
    remote: Remote
    opa: Path
    key: ec.EllipticCurvePrivateKey
    sidecar: Sidecar
    in_force: InForce
    env: Environment
    settings: RemoteSettings
    agent: Agent
    served: dict[str, Database]
    labels: DynamicLabels
    health: Health
    log: FilteringBoundLogger
    shipper: Shipper
    evidence_shipper: EvidenceShipper


async def build(
    config: Config, folder: Path, remote: Remote, stack: AsyncExitStack, log: FilteringBoundLogger
) -> Parts:
    """Everything but the work; what is opened is closed with *stack*, the log last."""
    clock, metrics, health = SystemClock(), Metrics(), Health(("policy", "audit"))
    credentials = remote.credentials
    audit_key, audit_dir = _audit_key(folder), _audit_folder(config, credentials.id)
    origin = origin_of(credentials.cluster, credentials.id)
    audit = await AuditLog.open(
        audit_dir,
        key=audit_key,
        origin=origin,
        clock=clock,
        metrics=metrics,
    )
    stack.push_async_callback(audit.close)
    await stack.enter_async_context(lifecycle.recorded(audit, clock, credentials.cluster, ("db",)))
    named = config.opa.path
    opa = named if named is not None else await asyncio.to_thread(ensure_opa)
    key = ec.generate_private_key(ec.SECP256R1())
    told = await _bundle(remote, log)
    bundle = await asyncio.to_thread(adopt, opa, told, folder / "policy", key)
    sidecar = await stack.enter_async_context(
        Sidecar(
            opa=opa,
            bundle=bundle,
            key=key,
            clock=clock,
            deadline_seconds=config.opa.deadline_seconds,
            metrics=metrics,
        )
    )
    in_force = evidence(stack, sidecar, audit_dir, audit, clock)
    classifier = await stack.enter_async_context(Classifier())
    settings = RemoteSettings(remote, clock)
    dialler = Dialler(settings, ranges.parse(config.db_service.deny_addresses))
    served: dict[str, Database] = {}
    env = Environment(
        cluster=credentials.cluster,
        clock=clock,
        policy=sidecar.client,
        audit=audit,
        dialler=dialler,
        databases=served.get,
        live=Live.paced(config.db_service.connects_per_second, clock.monotonic),
        classifier=classifier,
        catalogs=Catalogs(dialler, clock),
        metrics=metrics,
        log=log,
        agent=credentials.id,
        lease=Lease(clock),
        salt=str(told["salt"]),
        wording=wording.of(config.texts, str(told["salt"]), origin),
        holds=RemoteHolds(remote, log),
    )
    agent = Agent(lambda: remote.credentials, settings, env, log)
    labels = DynamicLabels(config.db_service, log)
    await labels.start()
    bringing = EvidenceShipper(audit_dir, remote, metrics)
    return Parts(
        config,
        folder,
        clock,
        remote,
        opa,
        key,
        sidecar,
        in_force,
        env,
        settings,
        agent,
        served,
        labels,
        health,
        log,
        shipper(remote, audit_dir, audit_key, clock, metrics, bringing.news),
        bringing,
    )


async def _bundle(remote: Remote, log: FilteringBoundLogger) -> Mapping[str, Any]:
    """The policies, asked for until somebody answers."""
    delay = 1.0
    while True:
        try:
            return await remote.bundle()
        except BackendError as error:
            log.warning("no policies yet", error=str(error), again_in_seconds=delay)
        await asyncio.sleep(delay)
        delay = min(delay * 2, 30.0)


def _audit_folder(config: Config, identifier: str) -> Path:
    """This service's own log; one that joined anew under another name begins another log beside the old."""
    private_directory(config.audit_dir)
    return config.audit_dir / identifier


def _audit_key(folder: Path) -> ed25519.Ed25519PrivateKey:
    """The key that signs this service's own log; made at its first start."""
    private_directory(folder)
    path = folder / "audit.key"
    with suppress(FileExistsError):
        if not path.exists():
            write_private(path, key_pem(ed25519.Ed25519PrivateKey.generate()))
    key = serialization.load_pem_private_key(read_private(path), password=None)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise ConfigError(f"{path}: expected an Ed25519 key")
    return key
