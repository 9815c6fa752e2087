"""A guard is found by its place: an example, tested by itself and at work in a bundle."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.clock import SystemClock
from gateway.model.classification import Class, Classification, Effect, ObjectRef
from gateway.model.decision import Allowed, Denied
from gateway.policy import install, publish
from gateway.policy.sidecar.supervisor import Sidecar
from gateway.schema import data_dir
from tests.policy import documents

pytestmark = pytest.mark.opa

GUARDS = Path(__file__).parent / "guards"


def test_the_example_passes_its_own_tests_with_full_coverage() -> None:
    command = [str(install.ensure_opa()), "test", "--threshold", "100", str(GUARDS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_example_passes_the_types() -> None:
    command = [str(install.ensure_opa()), "check", "--strict", "--schema", str(data_dir("schemas"))]
    done = subprocess.run(
        [*command, str(data_dir("policies")), str(GUARDS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


async def test_a_teams_guard_objects_whatever_the_role_grants(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    opa = install.ensure_opa()
    bundle = publish.publish(opa, data_dir("policies"), GUARDS, tmp_path / "state", key)
    drop = (Classification("drop", Class.DDL, (Effect("drop", Class.DDL, ObjectRef("table", "t", "app")),)),)
    async with Sidecar(opa=opa, bundle=bundle, key=key, clock=SystemClock(), deadline_seconds=2.0) as sidecar:
        await sidecar.push(documents.data(), documents.REVISION)
        here = documents.session("alice", "db-access")
        # The usual database is labelled env=dev, which the guard exempts.
        assert isinstance(await sidecar.client.query(here, drop), Allowed)
        elsewhere = documents.session("alice", "db-access", labels={"env": "production"})
        refused = await sidecar.client.query(elsewhere, drop)
        assert isinstance(refused, Denied)
        assert (refused.code, refused.sentence) == ("drop_refused", "DROP is for scratch databases only")
        assert isinstance(await sidecar.client.query(elsewhere, documents.reads("t")), Allowed)
        unknown = await sidecar.client.query(elsewhere, documents.not_understood())
        assert isinstance(unknown, Denied)
        assert {reason.code for reason in unknown.reasons} == {"drop_refused", "not_understood"}
