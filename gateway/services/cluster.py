"""Everything that runs, in one value."""

from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from gateway.api.estate import Estate
from gateway.api.evidence_intake import EvidenceIntake
from gateway.api.logs import Intake
from gateway.audit.log import AuditLog
from gateway.auth.authority import Auth
from gateway.auth.keyring import Keyring
from gateway.auth.store import Store
from gateway.ca.keys import Authorities
from gateway.clock import Clock
from gateway.config import Config
from gateway.observe.health import Health
from gateway.policy.sidecar.supervisor import Sidecar
from gateway.services.databases import Databases
from gateway.services.feed import Feed
from gateway.services.policies import Policies
from gateway.services.publisher import Publisher
from gateway.session.environment import Environment
from gateway.tunnel.links import Links


@dataclass(frozen=True, slots=True)
class Cluster:
    """Everything that runs, once it does."""

    config: Config
    clock: Clock
    authorities: Authorities
    store: Store
    keyring: Keyring
    audit: AuditLog
    auth: Auth
    sidecar: Sidecar
    databases: Databases
    publisher: Publisher
    policies: Policies
    environment: Environment
    feed: Feed
    links: Links
    health: Health
    estate: Estate
    intakes: tuple[Intake, EvidenceIntake]
    log: FilteringBoundLogger
