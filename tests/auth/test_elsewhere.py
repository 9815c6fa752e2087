"""What services that joined may do: names, sessions and mints, each against the service that asks."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.auth.joining import JoinRequest
from gateway.auth.serving import Offered
from gateway.auth.sessions import HEALTH_USER, Wish
from gateway.ca import identity, issue
from gateway.errors import AccessError, CertificateError, ConfigError, ConflictError, PolicyError
from gateway.model.decision import Denied, Reason
from gateway.model.event import Kind
from gateway.model.identity import Identity
from gateway.model.resource import Database
from tests.auth.rig import ADMIN, Rig, denied, running
from tests.ca.material import NOW, ROUTE, authorities, login, new_key, parsed, request_for

SALES = Database(ROUTE.database, "postgres", "db.example:5432", "Sales", {"env": "prod"})
ADDRESS = "192.0.2.7:4711"


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as made:
        yield made


async def joined(rig: Rig, token: str = "t", service: str = "db", uses: int = 1) -> Identity:
    """A service that joined with a new token of that name."""
    secret = await new_token(rig, token, service, uses)
    return await join(rig, secret, service)


async def new_token(rig: Rig, name: str, service: str = "db", uses: int = 1) -> str:
    text = (
        f"kind: token\nversion: v2\nmetadata: {{name: {name}}}\n"
        f"spec: {{roles: [{service.capitalize()}], uses: {uses}}}\n"
    )
    return (await rig.auth.create(ADMIN, text, "t.yaml"))[0].secret


async def join(rig: Rig, secret: str, service: str = "db") -> Identity:
    made = await rig.auth.elsewhere.join(JoinRequest(secret, service, request_for(), "host1"))
    return rig.auth.elsewhere.identify(parsed(made.certificate).public_bytes(Encoding.DER))


@pytest.mark.parametrize(
    "names",
    [
        ("gate.example.com:443", "db-01m83kdt8xs57t3yg3316nd0m0:443"),
        ("DB-01M83KDT8XS57T3YG3316ND0M0",),
        ("db-01m83kdt8xs57t3yg3316nd0m0.",),
        tuple(f"gate{number}.example.com" for number in range(17)),
        ("gate.example.com:0:0",),
    ],
)
async def test_a_proxy_has_few_names_and_none_that_is_a_services_and_keeps_its_token(
    rig: Rig, names: tuple[str, ...]
) -> None:
    secret = await new_token(rig, "t", "proxy")
    with pytest.raises(ConfigError):
        await rig.auth.elsewhere.join(JoinRequest(secret, "proxy", request_for(), "host1", names))
    good = JoinRequest(secret, "proxy", request_for(), "host1", ("gate.example.com:443",))
    assert (await rig.auth.elsewhere.join(good)).id.startswith("proxy-"), "the token was not used up"


def route_certificate() -> bytes:
    who = identity.from_certificate(login(), now=NOW)
    issued = issue.issue_database(
        authorities().user,
        identity=who,
        route=ROUTE,
        public_key=new_key().public_key(),
        ttl=timedelta(hours=1),
        now=NOW,
    )
    return parsed(issued.pem).public_bytes(Encoding.DER)


def wish(*connected: str) -> Wish:
    return Wish(route_certificate(), request_for(), ADDRESS, connected)


async def opened(rig: Rig, agent: Identity) -> bytes:
    """A session's certificate for that service."""
    made = await rig.auth.elsewhere.open_session(None, wish(agent.user))
    return parsed(made.certificate).public_bytes(Encoding.DER)


async def register(rig: Rig, agent: Identity, *databases: Database) -> list[str]:
    refused = await rig.auth.elsewhere.register(agent, [Offered(item) for item in databases])
    return [item.code for item in refused]


async def test_what_a_service_serves_is_enrolled_and_goes_with_it(rig: Rig) -> None:
    agent = await joined(rig)
    assert await register(rig, agent, SALES) == []
    stored = await rig.auth.get(ADMIN, "db", SALES.name)
    assert stored.document["metadata"]["labels"] == {"env": "prod"}
    served = await rig.auth.elsewhere.services_of()
    assert [(item.id, item.healthy) for item in served[SALES.name]] == [(agent.user, True)]
    revision = rig.store.data_revision
    assert await register(rig, agent, SALES) == []
    assert rig.store.data_revision == revision, "a heartbeat without news changes nothing"
    await register(rig, agent)
    assert await rig.store.find("db", SALES.name) is None


async def test_a_name_cannot_be_taken_with_another_token(rig: Rig) -> None:
    first, liar = await joined(rig, "a"), await joined(rig, "b")
    await register(rig, first, SALES)
    assert await register(rig, liar, SALES) == ["name_taken"]
    assert list(await rig.auth.elsewhere.databases_of(liar.user)) == []
    refused = await rig.auth.elsewhere.register(liar, [Offered(SALES)])
    assert "is served by host1, which joined with another token" in refused[0].message
    assert f"regate rm db/{SALES.name}" in refused[0].hint


async def test_a_database_of_the_cluster_itself_cannot_be_taken(rig: Rig) -> None:
    await rig.auth.create(
        ADMIN,
        f"kind: db\nversion: v3\nmetadata: {{name: {SALES.name}}}\n"
        "spec: {protocol: postgres, uri: 'db:5432'}\n",
        "f",
    )
    assert await register(rig, await joined(rig), SALES) == ["name_taken"]


async def test_services_of_one_token_stand_in_for_each_other(rig: Rig) -> None:
    secret = await new_token(rig, "both", uses=2)
    first, second = await join(rig, secret), await join(rig, secret)
    assert await register(rig, first, SALES) == []
    assert await register(rig, second, SALES) == []
    assert await register(rig, second, Database(SALES.name, "postgres", "x:1", labels={"env": "dev"})) == [
        "database_differs"
    ]
    made = {(await rig.auth.elsewhere.open_session(None, wish(first.user, second.user))).agent}
    assert made <= {first.user, second.user}


async def test_what_is_served_elsewhere_is_not_replaced_by_hand(rig: Rig) -> None:
    await register(rig, await joined(rig), SALES)
    text = (
        f"kind: db\nversion: v3\nmetadata: {{name: {SALES.name}}}\n"
        "spec: {protocol: postgres, uri: 'db:5432'}\n"
    )
    with pytest.raises(ConflictError, match="served by a database service elsewhere"):
        await rig.auth.create(ADMIN, text, "f", force=True)


async def test_a_session_is_for_one_service_and_recorded(rig: Rig) -> None:
    agent = await joined(rig)
    await register(rig, agent, SALES)
    found = identity.from_certificate(await opened(rig, agent), now=NOW)
    assert (found.agent, found.client_address, found.route) == (agent.user, ADDRESS, ROUTE)
    recorded = rig.log.of(Kind.CERT_CREATE)[-1]
    assert (recorded["use"], recorded["agent"], recorded["user"]) == ("session", agent.user, "ada")


async def test_nobody_who_is_not_connected_gets_a_session(rig: Rig) -> None:
    agent = await joined(rig)
    await register(rig, agent, SALES)
    with pytest.raises(AccessError, match="is connected or answers: host1") as caught:
        await rig.auth.elsewhere.open_session(None, wish("db-other"))
    assert caught.value.code == "no_agent"


async def test_a_proxy_cannot_be_certified_as_another_service(rig: Rig) -> None:
    """Who serves a session proves it by the name in its certificate."""
    agent = await joined(rig)
    secret = await new_token(rig, "p", "proxy")
    for name in (agent.user, f"{agent.user.upper()}:443", f"proxy-{26 * 'a'}"):
        with pytest.raises(ConfigError, match="how services are called"):
            await rig.auth.elsewhere.join(JoinRequest(secret, "proxy", request_for(), names=(name,)))
    made = await rig.auth.elsewhere.join(JoinRequest(secret, "proxy", request_for(), names=("db-proxy:443",)))
    assert made.id.startswith("proxy-"), "and the token is not used up by what was refused"


async def test_a_proxys_certificate_opens_sessions_and_mints_nothing(rig: Rig) -> None:
    agent, proxy = await joined(rig), await joined(rig, "p", "proxy")
    await register(rig, agent, SALES)
    session = await opened(rig, agent)
    assert (await rig.auth.elsewhere.open_session(proxy, wish(agent.user))).agent == agent.user
    with pytest.raises(CertificateError, match="this session is for"):
        await rig.auth.elsewhere.mint(proxy, session, request_for())
    with pytest.raises(AccessError, match="does not serve"):
        await rig.auth.elsewhere.mint_health(proxy, SALES.name, request_for())


async def test_a_mint_needs_a_session_of_that_service_for_a_database_it_serves(rig: Rig) -> None:
    agent, thief = await joined(rig, "a"), await joined(rig, "b")
    await register(rig, agent, SALES)
    session = await opened(rig, agent)
    made = parsed(await rig.auth.elsewhere.mint(agent, session, request_for()))
    assert made.subject.rfc4514_string() == f"CN={ROUTE.db_user}"
    with pytest.raises(CertificateError, match=f"this session is for {agent.user}, not for {thief.user}"):
        await rig.auth.elsewhere.mint(thief, session, request_for())
    with pytest.raises(CertificateError, match="database certificate was shown"):
        await rig.auth.elsewhere.mint(agent, route_certificate(), request_for())
    await register(rig, agent)
    with pytest.raises(AccessError, match="does not serve"):
        await rig.auth.elsewhere.mint(agent, session, request_for())


async def test_a_mint_asks_the_policy_as_of_now(rig: Rig) -> None:
    agent = await joined(rig)
    await register(rig, agent, SALES)
    session = await opened(rig, agent)
    rig.policy.connect_answer = denied("user_locked", "this user is locked")
    with pytest.raises(AccessError, match="this user is locked"):
        await rig.auth.elsewhere.mint(agent, session, request_for())


async def test_a_long_session_mints_until_its_login_ends_and_not_after(rig: Rig) -> None:
    agent = await joined(rig)
    await register(rig, agent, SALES)
    session = await opened(rig, agent)
    rig.clock.move(timedelta(hours=7))
    await rig.auth.elsewhere.mint(agent, session, request_for())
    rig.clock.move(timedelta(hours=1))
    with pytest.raises(CertificateError, match="the login behind this session has ended"):
        await rig.auth.elsewhere.mint(agent, session, request_for())


async def test_a_look_at_health_is_minted_for_one_user_only(rig: Rig) -> None:
    agent = await joined(rig)
    await register(rig, agent, SALES)
    made = parsed(await rig.auth.elsewhere.mint_health(agent, SALES.name, request_for()))
    assert made.subject.rfc4514_string() == f"CN={HEALTH_USER}"
    with pytest.raises(AccessError, match="does not serve 'other'"):
        await rig.auth.elsewhere.mint_health(agent, "other", request_for())


async def test_statements_wait_for_databases_of_the_service_alone(rig: Rig) -> None:
    agent = await joined(rig)
    await register(rig, agent, SALES)
    await rig.auth.elsewhere.may_hold(agent, SALES.name)
    with pytest.raises(AccessError, match="does not serve 'other'"):
        await rig.auth.elsewhere.may_hold(agent, "other")


async def test_a_locked_service_can_do_nothing(rig: Rig) -> None:
    agent = await joined(rig)
    await register(rig, agent, SALES)
    session = await opened(rig, agent)
    rig.policy.agent_answer = denied("locked", "a lock is in force: stolen")
    for attempt in (
        rig.auth.elsewhere.mint(agent, session, request_for()),
        rig.auth.elsewhere.register(agent, [Offered(SALES)]),
        rig.auth.elsewhere.renew(agent, request_for(), ""),
        rig.auth.elsewhere.open_session(None, wish(agent.user)),
        rig.auth.elsewhere.may_hold(agent, SALES.name),
    ):
        with pytest.raises(AccessError, match="stolen"):
            await attempt
    assert await rig.auth.elsewhere.standings() == {agent.user: "a lock is in force: stolen"}


async def test_a_removed_service_is_known_no_more(rig: Rig) -> None:
    agent = await joined(rig)
    await register(rig, agent, SALES)
    await rig.auth.elsewhere.remove(ADMIN, agent.user)
    with pytest.raises(AccessError, match="not part of the cluster any more"):
        await register(rig, agent, SALES)
    assert await rig.store.find("db", SALES.name) is None
    assert await rig.auth.elsewhere.standings() == {}


async def test_silence_of_the_policy_refuses_and_puts_nobody_out(rig: Rig) -> None:
    agent = await joined(rig)
    await register(rig, agent, SALES)
    rig.policy.agent_answer = Denied("d", (Reason("policy_unavailable", "nobody answers"),))
    with pytest.raises(PolicyError, match="nobody answers"):
        await rig.auth.elsewhere.open_session(None, wish(agent.user))
    with pytest.raises(PolicyError, match="nobody answers"):
        await rig.auth.elsewhere.standings()


@pytest.mark.parametrize("each", [3, pytest.param(50, marks=pytest.mark.soak)])
async def test_a_thousand_databases_over_twenty_services(rig: Rig, each: int) -> None:
    secret = await new_token(rig, "many", uses=20)
    agents = [await join(rig, secret) for _ in range(20)]
    for number, agent in enumerate(agents):
        mine = [Database(f"db-{number}-{index}", "postgres", "h:1") for index in range(each)]
        assert await register(rig, agent, *mine) == []
    served = await rig.auth.elsewhere.services_of()
    assert len(served) == 20 * each
    assert all(item.healthy for held in served.values() for item in held)
    assert len(await rig.auth.elsewhere.databases_of(agents[0].user)) == each
