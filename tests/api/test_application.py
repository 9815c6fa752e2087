"""The HTTP API as clients meet it: over verified TLS and over the unix socket, with the real auth service."""

import http.client
import json
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyotp
import pytest

from gateway.cli import keys, trust
from gateway.cli.client import Api, PublicEndpoint, SocketEndpoint
from gateway.cli.failures import LoginNeededError
from gateway.cli.profile import Certified
from gateway.errors import AccessError, ConfigError, ConflictError, NotFoundError, RegateError
from tests.api.rig import Rig

PASSWORD = "correct horse battery"
ROLE = """\
kind: role
version: v7
metadata:
  name: {name}
spec:
  allow:
    db_labels: {{'*': '*'}}
    db_names: ['*']
    db_users: ['*']
  deny: {{}}
"""
DB = "kind: db\nversion: v3\nmetadata:\n  name: {name}\nspec:\n  protocol: postgres\n  uri: localhost:5432\n"
Enrol = Callable[..., Api]


def _log_in(rig: Rig, folder: Path, stranger: Api, name: str, **more: Any) -> Api:
    made = keys.make()
    answer = stranger.post("/v1/login", {"user": name, "password": PASSWORD, "csr": made.request_pem, **more})
    (folder / f"{name}.key").write_text(made.key_pem)
    (folder / f"{name}.pem").write_text(answer["certificate"])
    login = Certified(folder / f"{name}.key", folder / f"{name}.pem", datetime.now(UTC))
    return Api(PublicEndpoint(rig.proxy, trust.Trust(rig.host_ca), login))


@pytest.fixture
def enrol(rig: Rig, local: Api, stranger: Api, tmp_path: Path) -> Enrol:
    """Makes a user with roles and returns the API with that user's login."""

    def make(name: str, roles: list[str]) -> Api:
        token = local.post("/v1/users", {"name": name, "roles": roles})["token"]
        stranger.post("/v1/users/accept", {"token": token, "password": PASSWORD})
        return _log_in(rig, tmp_path, stranger, name)

    return make


def test_strangers_learn_who_the_cluster_is_and_nothing_else(rig: Rig, stranger: Api) -> None:
    ping = stranger.get("/v1/ping")
    assert ping["cluster"] == "test"
    assert ping["host_ca"] == rig.host_ca
    assert trust.pin_of(ping["host_ca"]) == rig.pin
    assert ping["public_addr"] == f"localhost:{rig.port}"


PRIVATE = [
    ("GET", "/v1/status"),
    ("GET", "/v1/cluster"),
    ("GET", "/v1/users"),
    ("POST", "/v1/users"),
    ("PUT", "/v1/users/x"),
    ("DELETE", "/v1/users/x"),
    ("POST", "/v1/users/x/reset"),
    ("POST", "/v1/resources"),
    ("GET", "/v1/resources/role"),
    ("GET", "/v1/resources/role/access"),
    ("PUT", "/v1/resources/role/access"),
    ("DELETE", "/v1/resources/role/access"),
    ("GET", "/v1/db"),
    ("POST", "/v1/db/x/certificate"),
    ("POST", "/v1/auth/sign"),
    ("GET", "/v1/auth/export?type=host"),
    ("GET", "/v1/audit"),
    ("POST", "/v1/audit/digest"),
    ("GET", "/v1/audit/verify"),
    ("POST", "/v1/audit/verify"),
    ("GET", "/v1/audit/checkpoint"),
    ("POST", "/v1/audit/settle"),
    ("POST", "/v1/evidence/inputs"),
    ("GET", "/v1/evidence/data/x"),
    ("GET", "/v1/evidence/policy/x"),
    ("GET", "/metrics"),
    ("GET", "/v1/auth/rotation"),
    ("POST", "/v1/auth/rotation"),
    ("GET", "/v1/holds"),
    ("GET", "/v1/holds/x"),
    ("POST", "/v1/holds/x/approve"),
    ("POST", "/v1/holds/x/deny"),
    ("GET", "/v1/tokens"),
    ("POST", "/v1/tokens"),
    ("DELETE", "/v1/tokens/x"),
    ("GET", "/v1/agents"),
    ("GET", "/v1/agents/databases"),
    ("DELETE", "/v1/agents/x"),
    ("GET", "/v1/bots"),
    ("POST", "/v1/bots"),
    ("DELETE", "/v1/bots/x"),
    ("POST", "/v1/bots/renew"),
]
# For services that joined: a person's login opens none of them.
SERVICES = [
    ("POST", "/v1/agents/renew"),
    ("POST", "/v1/agents/register"),
    ("POST", "/v1/agents/open"),
    ("POST", "/v1/agents/mint"),
    ("GET", "/v1/log"),
    ("POST", "/v1/log"),
    ("POST", "/v1/log/records"),
    ("GET", "/v1/log/evidence"),
    ("POST", "/v1/log/evidence"),
]
PUBLIC = {"/v1/join", "/v1/bots/join", "/v1/ping", "/v1/login", "/v1/users/accept", "/healthz", "/readyz"}


@pytest.mark.parametrize(("method", "path"), PRIVATE + SERVICES)
def test_without_a_login_everything_else_is_refused(stranger: Api, method: str, path: str) -> None:
    with pytest.raises(LoginNeededError, match="needs a login"):
        _call(stranger, method, path, {})


@pytest.mark.parametrize(("method", "path"), SERVICES)
def test_a_persons_login_opens_nothing_for_services(powerless: Api, method: str, path: str) -> None:
    with pytest.raises(LoginNeededError, match="is not signed by the host authority"):
        _call(powerless, method, path, {})


def test_each_address_of_the_api_is_in_one_of_the_two_tables(rig: Rig) -> None:
    served = {
        (route.method, route.resource.canonical)
        for route in rig.application.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    known = {path.partition("?")[0] for _, path in PRIVATE + SERVICES} | PUBLIC
    for method, address in sorted(served):
        path = address.replace("role/{name}", "role/access").replace("{kind}/{name}", "role/access")
        path = path.replace("{name}", "x").replace("{revision}", "x").replace("{kind}", "role")
        path = path.replace("{name}", "x").replace("{kind}", "role").replace("{id}", "x")
        assert path in known, (method, address)
    assert len(served) == len(PRIVATE) + len(SERVICES) + len(PUBLIC)


@pytest.fixture(scope="module")
def powerless(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Api:
    """A login whose roles allow no administration."""
    local, stranger = (
        Api(SocketEndpoint(rig.socket)),
        Api(PublicEndpoint(rig.proxy, trust.Trust(rig.host_ca))),
    )
    token = local.post("/v1/users", {"name": "powerless", "roles": ["access"]})["token"]
    stranger.post("/v1/users/accept", {"token": token, "password": PASSWORD})
    return _log_in(rig, tmp_path_factory.mktemp("powerless"), stranger, "powerless")


ADMINISTRATION = [
    item
    for item in PRIVATE
    if item[1] not in {"/v1/status", "/v1/db", "/v1/db/x/certificate", "/v1/bots/renew"}
    and item != ("POST", "/v1/tokens")
]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/users": {"name": "mallory", "roles": ["editor"]},
    "/v1/bots": {"name": "mallory", "roles": ["editor"]},
    "/v1/users/x": {"roles": ["editor"]},
    "/v1/users/x/reset": {},
    "/v1/resources": {"text": ROLE.format(name="evil"), "filename": "f"},
    "/v1/resources/role/access": {"text": ROLE.format(name="access"), "filename": "f", "revision": 1},
    "/v1/auth/sign": {"format": "db", "hosts": ["h"]},
}


@pytest.mark.parametrize(("method", "path"), ADMINISTRATION)
def test_a_login_without_rules_may_administer_nothing(powerless: Api, method: str, path: str) -> None:
    with pytest.raises(AccessError) as caught:
        _call(powerless, method, path, BODIES.get(path, {}))
    assert caught.value.code == "access_denied"


def test_an_editor_administers_from_anywhere(enrol: Enrol) -> None:
    eve = enrol("eve", ["editor"])
    eve.post("/v1/resources", {"text": ROLE.format(name="from-afar"), "filename": "f"})
    assert eve.get("/v1/resources/role/from-afar")["document"]["metadata"]["name"] == "from-afar"


def test_an_account_is_made_accepted_used_and_removed(local: Api, enrol: Enrol) -> None:
    bob = enrol("bob", ["access"])
    status = bob.get("/v1/status")
    assert (status["user"], status["roles"], status["cluster"]) == ("bob", ["access"], "test")
    listed = {user["name"]: user for user in local.get("/v1/users")["users"]}
    assert (listed["bob"]["status"], listed["bob"]["totp"]) == ("active", False)
    assert local.put("/v1/users/bob", {"roles": ["auditor"]})["roles"] == ["auditor"]
    assert local.post("/v1/users/bob/reset", {"ttl_seconds": 60})["token"]
    local.delete("/v1/users/bob")
    with pytest.raises(NotFoundError):
        local.delete("/v1/users/bob")


def test_a_sign_up_token_works_once(local: Api, stranger: Api) -> None:
    invitation = local.post("/v1/users", {"name": "once", "roles": ["access"]})
    assert invitation["proxy"].startswith("localhost:")
    assert invitation["ca_pin"].startswith("sha256:")
    accept = {"token": invitation["token"], "password": PASSWORD}
    assert stranger.post("/v1/users/accept", accept) == {"user": "once", "totp_uri": None}
    with pytest.raises(AccessError) as caught:
        stranger.post("/v1/users/accept", {"token": invitation["token"], "password": PASSWORD})
    assert caught.value.code == "token_invalid"


def test_a_code_is_asked_for_only_after_the_password_was_right(
    rig: Rig, local: Api, stranger: Api, tmp_path: Path
) -> None:
    token = local.post("/v1/users", {"name": "tina", "roles": ["access"]})["token"]
    uri = stranger.post("/v1/users/accept", {"token": token, "password": PASSWORD, "totp": True})["totp_uri"]
    body = {"user": "tina", "csr": keys.make().request_pem}
    with pytest.raises(AccessError) as wrong:
        stranger.post("/v1/login", {**body, "password": "wrong password"})
    with pytest.raises(AccessError) as right:
        stranger.post("/v1/login", {**body, "password": PASSWORD})
    assert (wrong.value.code, right.value.code) == ("login_failed", "totp_required")
    code = pyotp.parse_uri(uri)
    assert isinstance(code, pyotp.TOTP)
    tina = _log_in(rig, tmp_path, stranger, "tina", totp=code.now())
    assert tina.get("/v1/status")["user"] == "tina"


def test_unknown_users_and_wrong_passwords_get_the_same_answer(stranger: Api, enrol: Enrol) -> None:
    enrol("known", ["access"])
    answers = []
    for name in ("known", "nobody-here"):
        body = {"user": name, "password": "wrong password", "csr": keys.make().request_pem}
        with pytest.raises(AccessError) as caught:
            stranger.post("/v1/login", body)
        answers.append((str(caught.value), caught.value.code, caught.value.hint))
    assert answers[0] == answers[1]


def test_too_many_logins_are_told_to_wait(rig: Rig, stranger: Api) -> None:
    body = {"user": "hammered", "password": "wrong password", "csr": keys.make().request_pem}
    codes = []
    for _ in range(12):
        with pytest.raises(AccessError) as caught:
            stranger.post("/v1/login", body)
        codes.append(caught.value.code)
    assert codes[0] == "login_failed"
    assert codes[-1] == "rate_limited"
    assert b'regate_logins_total{result="rate_limited"}' in rig.metrics.render()


def test_resources_are_stored_read_changed_and_removed(local: Api) -> None:
    text = ROLE.format(name="one") + "---\n" + ROLE.format(name="two")
    stored = local.post("/v1/resources", {"text": text, "filename": "roles.yaml"})["resources"]
    assert [(item["name"], item["action"]) for item in stored] == [("one", "created"), ("two", "created")]
    with pytest.raises(ConflictError):
        local.post("/v1/resources", {"text": text, "filename": "roles.yaml"})
    again = local.post("/v1/resources", {"text": text, "filename": "roles.yaml", "replace": True})[
        "resources"
    ]
    assert {item["action"] for item in again} == {"updated"}
    one = local.get("/v1/resources/role/one")
    change = {"text": ROLE.format(name="one"), "filename": "role/one", "revision": one["revision"]}
    local.put("/v1/resources/role/one", change)
    with pytest.raises(ConflictError):
        local.put("/v1/resources/role/one", change)
    assert {"one", "two"} <= {item["name"] for item in local.get("/v1/resources/role")["resources"]}
    local.delete("/v1/resources/role/one")
    with pytest.raises(NotFoundError):
        local.get("/v1/resources/role/one")


def test_an_edited_document_cannot_turn_into_another_resource(local: Api) -> None:
    local.post("/v1/resources", {"text": ROLE.format(name="mine"), "filename": "f"})
    local.post("/v1/resources", {"text": ROLE.format(name="theirs"), "filename": "f"})
    theirs = local.get("/v1/resources/role/theirs")
    body = {"text": ROLE.format(name="theirs"), "filename": "f", "revision": theirs["revision"]}
    with pytest.raises(ConfigError, match="role/mine"):
        local.put("/v1/resources/role/mine", body)


def test_a_file_with_mistakes_is_told_all_of_them_and_stores_nothing(local: Api) -> None:
    text = ROLE.format(name="good-one") + "---\n" + ROLE.format(name="bad").replace("db_names", "db_nams")
    with pytest.raises(ConfigError, match=r"two.yaml:\d+: spec.allow.db_nams"):
        local.post("/v1/resources", {"text": text, "filename": "two.yaml"})
    with pytest.raises(NotFoundError):
        local.get("/v1/resources/role/good-one")


def test_databases_are_listed_without_their_address(rig: Rig, local: Api, enrol: Enrol) -> None:
    local.post("/v1/resources", {"text": DB.format(name="shown"), "filename": "f"})
    local.post("/v1/resources", {"text": DB.format(name="hidden"), "filename": "f"})
    rig.policy.hidden.add("hidden")
    seen = {item["name"]: item for item in enrol("dana", ["access"]).get("/v1/db")["databases"]}
    assert "hidden" not in seen
    assert seen["shown"]["db_users"] == ["dana"]
    assert "localhost" not in json.dumps(seen)


def test_a_database_certificate_opens_the_database_and_never_the_api(
    rig: Rig, local: Api, enrol: Enrol, tmp_path: Path
) -> None:
    local.post("/v1/resources", {"text": DB.format(name="orders"), "filename": "f"})
    carol, made = enrol("carol", ["access"]), keys.make()
    body = {"db_user": "carol", "db_name": "mydb", "csr": made.request_pem}
    answer = carol.post("/v1/db/orders/certificate", body)
    assert answer["protocol"] == "postgres"
    assert (datetime.fromisoformat(answer["expires"]) - datetime.now(UTC)).total_seconds() <= 3600
    (tmp_path / "db.key").write_text(made.key_pem)
    (tmp_path / "db.pem").write_text(answer["certificate"])
    login = Certified(tmp_path / "db.key", tmp_path / "db.pem", datetime.now(UTC))
    wrong = Api(PublicEndpoint(rig.proxy, trust.Trust(rig.host_ca), login))
    with pytest.raises(LoginNeededError, match="database certificate was shown where a user one is needed"):
        wrong.get("/v1/status")


def test_unknown_and_hidden_databases_get_the_same_refusal(rig: Rig, local: Api, enrol: Enrol) -> None:
    local.post("/v1/resources", {"text": DB.format(name="secret-one"), "filename": "f"})
    rig.policy.hidden.update({"secret-one", "no-such"})
    dave, answers = enrol("dave", ["access"]), []
    for name in ("secret-one", "no-such"):
        body = {"db_user": "dave", "db_name": "mydb", "csr": keys.make().request_pem}
        with pytest.raises(AccessError) as caught:
            dave.post(f"/v1/db/{name}/certificate", body)
        answers.append((str(caught.value), caught.value.code))
    assert answers[0] == answers[1]


def test_server_certificates_are_signed_and_authorities_exported(local: Api) -> None:
    signed = local.post(
        "/v1/auth/sign", {"format": "db", "hosts": ["localhost", "10.0.0.5"], "ttl_seconds": 3600}
    )
    assert "BEGIN CERTIFICATE" in signed["certificate"]
    assert "PRIVATE KEY" in signed["key"]
    assert signed["client_ca"] == local.get("/v1/auth/export", {"type": "db-client"})["pem"]
    with pytest.raises(ConfigError):
        local.get("/v1/auth/export", {"type": "all"})


def test_the_audit_log_is_read_by_those_who_may(rig: Rig, local: Api, enrol: Enrol) -> None:
    enrol("logged", ["access"])
    kinds = [item["kind"] for item in local.lines("/v1/audit", {"user": "logged", "order": "oldest"})]
    assert {"user.accept", "user.login", "cert.create"} <= set(kinds)
    newest = list(local.lines("/v1/audit", {"limit": 2}))
    assert newest[0]["index"] == newest[1]["index"] + 1
    rig.policy.rules.add("list event")
    try:
        assert list(enrol("auditing", ["auditor"]).lines("/v1/audit", {"limit": 1}))
    finally:
        rig.policy.rules.clear()


def test_a_long_log_arrives_whole_and_in_order(local: Api, stranger: Api) -> None:
    for number in range(230):
        local.post("/v1/users", {"name": f"many{number}", "roles": ["access"]})
    found = [item["index"] for item in local.lines("/v1/audit", {"order": "oldest"})]
    assert found == list(range(len(found)))
    assert len(found) >= 230


@pytest.mark.parametrize(
    "query",
    [{"usr": "x"}, {"kind": "no.such"}, {"limit": "0"}, {"limit": "x"}, {"since": "noon"}, {"order": "up"}],
)
def test_a_filter_that_is_misspelt_is_refused_instead_of_showing_everything(
    local: Api, query: dict[str, str]
) -> None:
    with pytest.raises(ConfigError):
        list(local.lines("/v1/audit", query))


def test_the_audit_log_is_verified_over_the_api(local: Api) -> None:
    local.post("/v1/users", {"name": "somebody", "roles": ["access"]})
    report = local.get("/v1/audit/verify")
    assert report["ok"] is True
    assert report["records"] > 0
    assert report["first_bad"] is None


def test_probes_tell_strangers_ready_or_not_and_no_reasons(rig: Rig, local: Api, stranger: Api) -> None:
    assert stranger.get("/healthz") == {"ok": True}
    rig.health.fail("policy", "opa at /secret/path is down")
    assert _raw(rig, "GET", "/readyz") == (503, {"ready": False})
    rig.health.ok("policy")
    assert stranger.get("/readyz") == {"ready": True}


BAD = [
    ("/v1/login", b"{", "application/json", 400),
    ("/v1/login", b"[]", "application/json", 400),
    ("/v1/login", b"{}", "application/json", 400),
    ("/v1/login", b'{"user": NaN}', "application/json", 400),
    ("/v1/login", b"{}", "text/plain", 400),
    ("/v1/login", b'{"user":"a","password":"b","csr":"c","extra":1}', "application/json", 400),
    ("/v1/login", b'{"user":"a","password":"b","csr":"not a request"}', "application/json", 400),
    ("/v1/login", b'{"user":["a"],"password":"b","csr":"c"}', "application/json", 400),
    ("/v1/login", b'{"user":"a","password":"b","csr":"c","ttl_seconds":-1}', "application/json", 400),
    ("/v1/login", b"[" * 100_000, "application/json", 400),
    ("/v1/login", b'"' + b"a" * 2_000_000 + b'"', "application/json", 413),
    ("/v1/nothing", b"{}", "application/json", 404),
    ("/v1/ping", b"{}", "application/json", 405),
]


@pytest.mark.parametrize(("path", "data", "kind", "status"), BAD)
def test_bad_requests_end_in_one_sentence(rig: Rig, path: str, data: bytes, kind: str, status: int) -> None:
    got, answer = _raw(rig, "POST", path, data, kind)
    assert got == status
    assert set(answer) == {"error"}
    assert set(answer["error"]) == {"code", "message", "hint"}
    assert "Traceback" not in json.dumps(answer)
    assert answer["error"]["message"]


def test_a_certificate_of_another_authority_gets_no_connection(rig: Rig, tmp_path: Path) -> None:
    from tests.servers import certificates  # noqa: PLC0415

    other = certificates.Authority(tmp_path).server()
    login = Certified(Path(other.key), Path(other.certificate), datetime.now(UTC))
    with pytest.raises(RegateError):
        Api(PublicEndpoint(rig.proxy, trust.Trust(rig.host_ca), login)).get("/v1/status")


def _call(api: Api, method: str, path: str, body: dict[str, Any]) -> Any:
    match method:
        case "GET":
            return api.get(path)
        case "DELETE":
            return api.delete(path)
        case "POST":
            return api.post(path, body)
    return api.put(path, body)


def _raw(rig: Rig, method: str, path: str, data: bytes | None = None, kind: str = "") -> tuple[int, Any]:
    context = ssl.create_default_context(cadata=rig.host_ca)
    connection = http.client.HTTPSConnection("localhost", rig.port, context=context, timeout=60)
    connection.request(method, path, body=data, headers={"Content-Type": kind} if kind else {})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer
