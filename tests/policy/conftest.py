"""A real OPA with the shipped policies, and the documents that tests put to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.clock import SystemClock
from gateway.policy import install, publish
from gateway.policy.publish import Bundle
from gateway.policy.sidecar.supervisor import Sidecar
from gateway.schema import data_dir
from tests.policy import documents


@pytest.fixture(scope="session")
def opa() -> Path:
    return install.ensure_opa()


@pytest.fixture(scope="session")
def bundle_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="session")
def bundle(
    opa: Path, bundle_key: ec.EllipticCurvePrivateKey, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    return publish.publish(opa, data_dir("policies"), None, tmp_path_factory.mktemp("bundle"), bundle_key)


@pytest_asyncio.fixture
async def bare_sidecar(
    opa: Path, bundle: Bundle, bundle_key: ec.EllipticCurvePrivateKey
) -> AsyncIterator[Sidecar]:
    """OPA runs, and nobody has pushed any data."""
    async with Sidecar(
        opa=opa, bundle=bundle, key=bundle_key, clock=SystemClock(), deadline_seconds=2.0
    ) as running:
        yield running


@pytest_asyncio.fixture
async def sidecar(bare_sidecar: Sidecar) -> Sidecar:
    """OPA runs with the usual roles and users, at data revision 7."""
    await bare_sidecar.push(documents.data(), documents.REVISION)
    return bare_sidecar
