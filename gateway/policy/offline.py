"""An OPA of one's own, for commands that ask what a policy would say: private, and gone when they end."""

import asyncio  # noqa: TID251
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from gateway.clock import Clock
from gateway.policy import install, publish
from gateway.policy.sidecar.supervisor import Sidecar

# Nobody waits for these answers with a statement in hand.
_DEADLINE_SECONDS = 30.0


@asynccontextmanager
async def offline(
    shipped: Path, team: Path | None, data: Mapping[str, Any], clock: Clock, *, slots: int | None = None
) -> AsyncIterator[Sidecar]:
    """A sidecar with these policies and this data document (``data.build_data``), ready to be asked.

    Raises:
        PolicyError: the policies do not compile, or OPA cannot be had; the message is OPA's.
    """
    opa = await asyncio.to_thread(install.ensure_opa)
    key = ec.generate_private_key(ec.SECP256R1())
    with tempfile.TemporaryDirectory(prefix="regate-policy-") as name:
        out = Path(name, "gateway.tar.gz")
        bundle = await asyncio.to_thread(publish.build_bundle, opa, shipped, team, out, 1, key)
        async with Sidecar(
            opa=opa, bundle=bundle, key=key, clock=clock, slots=slots, deadline_seconds=_DEADLINE_SECONDS
        ) as sidecar:
            await sidecar.push(data, data["data_revision"])
            yield sidecar
