"""Rotations as the auth service carries them out: asked, recorded, sealed, and moved on by the clock."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.auth.authority import Auth
from gateway.auth.desk import Hooks
from gateway.auth.keyring import Keyring
from gateway.auth.rotate import Step
from gateway.auth.store import Store
from gateway.ca.identity import from_chain
from gateway.ca.keys import Authorities
from gateway.ca.profile import Kind as Ca
from gateway.ca.rotation import Phase
from gateway.errors import AccessError, AuditError, CertificateError, ConfigError, ConflictError
from gateway.model.event import Kind
from gateway.model.identity import Use
from tests.auth.rig import ADMIN, FakeLog, FakePolicy, Rig, denied
from tests.ca.material import CLUSTER, FakeClock, parsed

pytestmark = pytest.mark.usefixtures("cheap_hashes")


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[Rig]:
    """A service whose keys are its own, since these tests change them."""
    clock, policy, log = FakeClock(), FakePolicy(), FakeLog()
    async with await Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store:
        keyring = await Keyring.open(
            store, sealing_key=tmp_path / "key", folder=tmp_path / "keys", cluster=CLUSTER, clock=clock
        )
        hooks = Hooks(policy=policy, record=log.record, may_connect=policy.connect)
        auth = await Auth.open(store, keyring, clock, hooks)
        yield Rig(auth, store, policy, log, clock)
        await auth.close()


def _authorities(rig: Rig) -> Authorities:
    return rig.auth._desk.authorities  # what the listener is given as well


async def _phases(rig: Rig) -> dict[str, str]:
    return {item["type"]: item["phase"] for item in await rig.auth.rotations(ADMIN)}


async def test_a_login_of_the_old_authority_counts_until_standby_and_no_longer(own: Rig) -> None:
    await own.add()
    old = parsed((await own.login()).certificate_pem)

    def trusted() -> None:
        issuers = _authorities(own).trusted(Ca.USER)
        assert from_chain(old, *issuers, uses=(Use.USER,), now=own.clock.moment).user == "ada"

    for phase in (Phase.INIT, Phase.UPDATE_CLIENTS, Phase.UPDATE_SERVERS):
        await own.auth.rotate(ADMIN, Step(Ca.USER, phase, manual=True))
        trusted()
    new = parsed((await own.login()).certificate_pem)
    assert new.issuer != old.issuer
    await own.auth.rotate(ADMIN, Step(Ca.USER, Phase.STANDBY, manual=True))
    with pytest.raises(CertificateError, match="not signed by the user authority"):
        trusted()
    issuers = _authorities(own).trusted(Ca.USER)
    assert from_chain(new, *issuers, uses=(Use.USER,), now=own.clock.moment).user == "ada"


async def test_each_step_is_recorded_with_who_took_it(own: Rig) -> None:
    await own.auth.rotate(ADMIN, Step(Ca.HOST, Phase.INIT))
    await own.auth.rotate(ADMIN, Step(Ca.HOST, Phase.ROLLBACK))
    first, second = own.log.of(Kind.CA_ROTATE)
    assert (first["user"], first["authority"], first["rotation_before"], first["rotation"]) == (
        "admin",
        "host",
        "standby",
        "init",
    )
    assert second["rotation"] == "rollback"
    assert first["key_id"] == second["key_id"] != first["next_key_id"] == second["next_key_id"]


async def test_a_step_that_cannot_be_recorded_is_not_taken(own: Rig) -> None:
    own.log.broken = True
    with pytest.raises(AuditError):
        await own.auth.rotate(ADMIN, Step(Ca.USER, Phase.INIT))
    assert set((await _phases(own)).values()) == {"standby"}


async def test_the_policy_is_asked(own: Rig) -> None:
    own.policy.admin_answer = denied("access_denied", "no")
    with pytest.raises(AccessError):
        await own.auth.rotate(ADMIN, Step(Ca.USER, Phase.INIT))
    with pytest.raises(AccessError):
        await own.auth.rotations(ADMIN)
    assert ("admin", "update", "cert_authority", "user") in own.policy.asked


async def test_what_makes_no_sense_is_refused(own: Rig) -> None:
    with pytest.raises(ConfigError, match="goes by its phases"):
        await own.auth.rotate(ADMIN, Step(Ca.USER, manual=True))
    with pytest.raises(ConfigError, match="at most 30 days"):
        await own.auth.rotate(ADMIN, Step(Ca.USER, grace=timedelta(days=31)))
    with pytest.raises(ConflictError, match="does not follow"):
        await own.auth.rotate(ADMIN, Step(Ca.USER, Phase.STANDBY))


async def test_the_clock_moves_automatic_rotations_on_and_leaves_manual_ones_alone(own: Rig) -> None:
    await own.auth.rotate(ADMIN, Step(Ca.USER, grace=timedelta(hours=3)))
    await own.auth.rotate(ADMIN, Step(Ca.DB, Phase.INIT, manual=True))
    assert await own.auth.rotate_due() == []
    for phase in ("update-clients", "update-servers", "standby"):
        own.clock.move(timedelta(hours=1))
        assert [moved.phase.value for moved in await own.auth.rotate_due()] == [phase]
        assert await own.auth.rotate_due() == []
    assert await _phases(own) == {"user": "standby", "host": "standby", "db": "init", "db-client": "standby"}
    assert {record["user"] for record in own.log.of(Kind.CA_ROTATE)} == {"admin", "rotation"}


async def test_of_two_nodes_one_moves_a_rotation_on(own: Rig, tmp_path: Path) -> None:
    await own.auth.rotate(ADMIN, Step(Ca.USER, grace=timedelta(hours=3)))
    keyring = await Keyring.open(
        own.store, sealing_key=tmp_path / "key", folder=tmp_path / "keys", cluster=CLUSTER, clock=own.clock
    )
    hooks = Hooks(policy=own.policy, record=own.log.record, may_connect=own.policy.connect)
    other = await Auth.open(own.store, keyring, own.clock, hooks)
    own.clock.move(timedelta(hours=1))
    assert len(await own.auth.rotate_due()) == 1
    assert await other.rotate_due() == [], "it sees in the transaction that somebody was first"
    await other.close()
