"""The auth service under the shipped policies and a real OPA: what the store holds decides."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.auth.authority import Auth
from gateway.auth.bots import Asked
from gateway.auth.desk import ConnectAttempt, Hooks
from gateway.auth.login import Login, LoginRequest
from gateway.auth.store import Store
from gateway.ca import identity
from gateway.clock import SystemClock, utc
from gateway.errors import AccessError, ConfigError
from gateway.model.decision import Decision
from gateway.model.identity import Identity, Subject
from gateway.policy import install, publish
from gateway.policy.client import PolicyClient
from gateway.policy.data import build_data
from gateway.policy.document import ConnectQuestion
from gateway.policy.sidecar.supervisor import Sidecar
from gateway.schema import data_dir
from tests.auth.rig import ADMIN, CSR, PASSWORD, FakeLog, keyring_of, running
from tests.auth.test_catalog import LOCK, USER
from tests.auth.test_resources import DB
from tests.ca.material import authorities, parsed, request_for
from tests.seed import SEED_ROLE

pytestmark = pytest.mark.opa


@dataclass
class Real:
    """The service, with its state pushed to OPA after each change that a test makes."""

    auth: Auth
    store: Store
    sidecar: Sidecar

    async def push(self) -> None:
        state = await self.store.snapshot()
        data = build_data(state.roles, state.users, state.locks, state.databases, state.revision)
        await self.sidecar.push(data, state.revision)

    async def apply(self, text: str) -> None:
        await self.auth.create(ADMIN, text, "file.yaml", force=True)
        await self.push()

    async def login(self, ttl: timedelta | None = None) -> Identity:
        made = await self.auth.login(LoginRequest("ada", PASSWORD, CSR, ttl=ttl))
        return identity.from_certificate(parsed(made.certificate_pem), now=utc(SystemClock()))


@asynccontextmanager
async def _opa(folder: Path) -> AsyncIterator[Sidecar]:
    opa, key = install.ensure_opa(), authorities().bundle_key
    bundle = publish.publish(opa, data_dir("policies"), None, folder, key)
    async with Sidecar(opa=opa, bundle=bundle, key=key, clock=SystemClock(), deadline_seconds=2.0) as running:
        yield running


@pytest.fixture
async def real(tmp_path: Path, cheap_hashes: None) -> AsyncIterator[Real]:
    clock = SystemClock()
    async with _opa(tmp_path) as sidecar, await Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store:

        async def may_connect(attempt: ConnectAttempt) -> Decision:
            question = ConnectQuestion(
                identity=attempt.identity,
                database=attempt.database,
                db_user=attempt.db_user,
                db_name=attempt.db_name,
                client_address="192.0.2.1",
                session_id="",
                time_ns=clock.now_ns(),
            )
            return await sidecar.client.connect(question)

        hooks = Hooks(policy=sidecar.client, record=FakeLog().record, may_connect=may_connect)
        auth = await Auth.open(store, keyring_of(store), clock, hooks)
        found = Real(auth, store, sidecar)
        await found.push()
        await found.apply(f"{SEED_ROLE}---\n{USER}---\n{DB}")
        invitation = await auth.reset_user(ADMIN, "ada")
        await auth.accept_signup(invitation.token, PASSWORD)
        yield found
        await auth.close()


async def test_the_seeds_role_opens_the_database(real: Real) -> None:
    who = await real.login()
    issued = await real.auth.database_certificate(
        who, database="pg", db_user="anybody", db_name="anything", csr_pem=CSR
    )
    assert identity.from_certificate(parsed(issued.pem), now=utc(SystemClock())).route is not None


async def test_a_lock_ends_logins_and_certificates_and_its_removal_gives_them_back(real: Real) -> None:
    who = await real.login()
    await real.apply(LOCK)
    with pytest.raises(AccessError, match="a lock is in force"):
        await real.login()
    with pytest.raises(AccessError, match="a lock is in force"):
        await real.auth.database_certificate(who, database="pg", db_user="a", db_name="b", csr_pem=CSR)
    await real.auth.delete(ADMIN, "lock", "l")
    await real.push()
    await real.login()


async def test_a_locked_bot_neither_renews_nor_joins(real: Real) -> None:
    async def renewed(login: Login) -> Login:
        who = identity.from_certificate(parsed(login.certificate_pem), now=utc(SystemClock()))
        return await real.auth.renew_bot(who, Asked(request_for()))

    role = (await real.auth.get(ADMIN, "user", "ada")).document["spec"]["roles"]
    _, secret = await real.auth.add_bot(ADMIN, "ci", roles=role)
    _, spare = await real.auth.add_bot(ADMIN, "cd", roles=role)
    await real.push()
    first = await real.auth.join_bot(secret, Asked(CSR))
    second = await renewed(first)
    with pytest.raises(AccessError, match="was copied"):
        await renewed(first)
    await real.apply(LOCK.replace("user: ada", "user: cd"))
    with pytest.raises(AccessError, match="a lock is in force: an identity of this bot was copied"):
        await renewed(second)
    with pytest.raises(AccessError, match="a lock is in force"):
        await real.auth.join_bot(spare, Asked(CSR))


async def test_a_roles_max_session_ttl_bounds_the_login(real: Real) -> None:
    await real.apply(SEED_ROLE + "  options: {max_session_ttl: 30m}\n")
    who = await real.login(ttl=timedelta(hours=12))
    left = who.expires - utc(SystemClock())
    assert timedelta(minutes=29) < left <= timedelta(minutes=30)


async def test_a_removed_user_gets_no_certificate_for_a_login_that_still_runs(real: Real) -> None:
    who = await real.login()
    await real.auth.remove_user(ADMIN, "ada")
    await real.push()
    with pytest.raises(AccessError) as refused:
        await real.auth.database_certificate(who, database="pg", db_user="a", db_name="b", csr_pem=CSR)
    assert refused.value.code == "user_unknown"


async def test_a_database_out_of_sight_and_one_that_is_not_there_look_the_same(real: Real) -> None:
    await real.apply(SEED_ROLE.replace("'*': '*'", "env: dev"))
    who = await real.login()
    told = []
    for database in ("pg", "nowhere"):
        with pytest.raises(AccessError) as refused:
            await real.auth.database_certificate(
                who, database=database, db_user="a", db_name="b", csr_pem=CSR
            )
        told.append((str(refused.value), refused.value.code))
    assert told[0] == told[1]


async def test_a_database_that_is_not_there_stays_shut_for_a_role_that_opens_all(real: Real) -> None:
    who = await real.login()
    with pytest.raises(AccessError) as refused:
        await real.auth.database_certificate(who, database="nowhere", db_user="a", db_name="b", csr_pem=CSR)
    assert refused.value.code == "database_not_found"


async def test_presets_do_what_they_are_for(real: Real) -> None:
    await real.auth.add_user(ADMIN, "eve", roles=["editor"])
    await real.auth.add_user(ADMIN, "otto", roles=["auditor"])
    await real.push()
    editor, auditor = Subject("user", "eve", ("editor",)), Subject("user", "otto", ("auditor",))
    await real.auth.create(editor, DB.replace("name: pg", "name: other"), "db.yaml")
    await real.auth.sign_db_server(editor, ["localhost"])
    await real.auth.export_ca(editor, "db-client")
    await real.auth.status(auditor)
    await real.auth.list(auditor, "role")
    for refused in (
        real.auth.create(auditor, DB, "db.yaml"),
        real.auth.delete(auditor, "db", "pg"),
        real.auth.sign_db_server(auditor, ["localhost"]),
        real.auth.set_roles(auditor, "otto", ["editor"]),
        real.auth.delete(Subject("user", "ada", ("db-access",)), "db", "pg"),
        real.auth.delete(Subject("user", "nobody", ("editor",)), "db", "pg"),
        real.auth.delete(Subject("user", "ada", ("editor",)), "db", "pg"),
    ):
        with pytest.raises(AccessError):
            await refused


async def test_a_pattern_that_opa_cannot_read_is_not_stored(real: Real) -> None:
    with pytest.raises(ConfigError, match=r"file\.yaml:8: spec\.allow\.db_labels\.env: .*regular expression"):
        await real.apply(SEED_ROLE.replace("'*': '*'", "env: '^(unclosed$'"))
    assert (await real.store.get("role", "db-access")).document["spec"]["allow"]["db_labels"] == {"*": "*"}


async def test_without_opa_nothing_is_allowed_and_nothing_is_stored(
    tmp_path: Path, cheap_hashes: None
) -> None:
    async with (
        running(tmp_path) as rig,
        PolicyClient(tmp_path / "nobody.sock", "token", clock=SystemClock()) as client,
    ):
        await rig.add("ada")
        rig.auth._desk = replace(rig.auth._desk, hooks=replace(rig.auth._desk.hooks, policy=client))
        before = await rig.store.snapshot()
        for attempt in (
            rig.login(),
            rig.auth.list(ADMIN, "role"),
            rig.auth.create(ADMIN, DB, "db.yaml"),
            rig.auth.remove_user(ADMIN, "ada"),
        ):
            with pytest.raises(AccessError) as refused:
                await attempt
            assert refused.value.code == "policy_unavailable"
        assert await rig.store.snapshot() == before
