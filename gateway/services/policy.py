"""OPA for this cluster: found or installed, with the shipped policies and the team's in one signed bundle."""

import asyncio  # noqa: TID251
from pathlib import Path

from gateway.ca.keys import Authorities
from gateway.clock import Clock
from gateway.config import Config
from gateway.observe.metrics import Metrics
from gateway.policy.install import ensure_opa
from gateway.policy.publish import Bundle, publish
from gateway.policy.sidecar import Sidecar
from gateway.schema import data_dir


async def prepare(config: Config, authorities: Authorities, clock: Clock, metrics: Metrics) -> Sidecar:
    """A sidecar that has still to be entered, and holds a bundle under the next number."""
    named = config.opa.path
    opa = named if named is not None else await asyncio.to_thread(ensure_opa)
    bundle = await asyncio.to_thread(_publish, opa, config, authorities)
    return Sidecar(opa=opa, bundle=bundle, key=authorities.bundle_key, clock=clock, metrics=metrics)


def _publish(opa: Path, config: Config, authorities: Authorities) -> Bundle:
    folder = config.data_dir / "policy"
    return publish(opa, data_dir("policies"), config.policy_dir, folder, authorities.bundle_key)
