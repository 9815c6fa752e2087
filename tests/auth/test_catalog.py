"""Resources through the service: all or nothing, asked about and recorded."""

import json
from collections.abc import Awaitable, Callable

import pytest

from gateway.auth import presets
from gateway.auth.databases import to_database, to_resource
from gateway.errors import AccessError, AuditError, ConfigError, ConflictError, NotFoundError
from gateway.model.event import Kind
from gateway.model.resource import BackendAuth, BackendTls, Database
from tests.auth.rig import ADMIN, FoundProblem, Rig, denied
from tests.auth.test_resources import DB
from tests.seed import SEED_ROLE

USER = "kind: user\nversion: v2\nmetadata: {name: ada}\nspec: {roles: [db-access]}\n"
TOKEN = "kind: token\nversion: v2\nmetadata: {name: agent}\nspec: {roles: [Db]}\n"
LOCK = "kind: lock\nversion: v2\nmetadata: {name: l}\nspec: {target: {user: ada}}\n"


async def test_every_document_of_a_file_is_stored_and_recorded(rig: Rig) -> None:
    done = await rig.auth.create(ADMIN, f"{USER}---\n{SEED_ROLE}---\n{DB}", "all.yaml")
    assert [(item.kind, item.name, item.action) for item in done] == [
        ("user", "ada", "created"),
        ("role", "db-access", "created"),
        ("db", "pg", "created"),
    ]
    assert [item.revision for item in done] == sorted({item.revision for item in done})
    assert [(kind, fields["name"], fields["user"]) for kind, fields in rig.log.events] == [
        (Kind.USER_CREATE, "ada", "admin"),
        (Kind.RESOURCE_CREATE, "db-access", "admin"),
        (Kind.RESOURCE_CREATE, "pg", "admin"),
    ]
    assert (await rig.auth.get(ADMIN, "db", "pg")).document["spec"]["uri"] == "localhost:5432"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (f"{DB}---\n{SEED_ROLE.replace('v7', 'v1')}", ConfigError),
        (f"{DB}---\n{USER}", NotFoundError),  # a role that does not exist
        (f"{DB}---\n{SEED_ROLE.replace('db-access', 'access')}", ConflictError),  # a preset has that name
    ],
)
async def test_one_bad_document_and_nothing_is_stored(rig: Rig, text: str, error: type[Exception]) -> None:
    before = await rig.store.snapshot()
    with pytest.raises(error):
        await rig.auth.create(ADMIN, text, "all.yaml")
    assert await rig.store.snapshot() == before
    assert rig.log.events == []


async def test_force_replaces_what_exists(rig: Rig) -> None:
    await rig.auth.create(ADMIN, DB, "db.yaml")
    with pytest.raises(ConflictError, match="'pg' exists already"):
        await rig.auth.create(ADMIN, DB, "db.yaml")
    (done,) = await rig.auth.create(ADMIN, DB.replace("5432", "5433"), "db.yaml", force=True)
    assert done.action == "updated"
    assert (await rig.auth.get(ADMIN, "db", "pg")).document["spec"]["uri"] == "localhost:5433"
    assert rig.policy.asked[-3:-1] == [("admin", "update", "db", "pg"), ("", "validate", "db", "pg")]


async def test_replacing_a_user_keeps_the_password(rig: Rig) -> None:
    await rig.auth.create(ADMIN, SEED_ROLE, "role.yaml")
    await rig.add("ada")
    await rig.auth.create(ADMIN, USER, "user.yaml", force=True)
    assert (await rig.login()).roles == ("db-access",)


async def test_an_edit_needs_the_revision_that_was_read(rig: Rig) -> None:
    (made,) = await rig.auth.create(ADMIN, DB, "db.yaml")
    changed = DB.replace("5432", "5433")
    done = await rig.auth.update(ADMIN, changed, "db.yaml", expected=made.revision)
    assert (done.action, done.revision > made.revision) == ("updated", True)
    with pytest.raises(ConflictError, match="changed in between"):
        await rig.auth.update(ADMIN, DB, "db.yaml", expected=made.revision)
    with pytest.raises(ConfigError, match="expected one resource, got 2"):
        await rig.auth.update(ADMIN, f"{DB}---\n{SEED_ROLE}", "db.yaml", expected=done.revision)


async def test_what_opa_finds_wrong_is_told_by_line_and_nothing_is_stored(rig: Rig) -> None:
    rig.policy.problems = [
        FoundProblem("error", "spec.allow.db_names", '"^(" is not a regular expression'),
        FoundProblem("warning", "spec.allow", "not carried out"),
    ]
    with pytest.raises(ConfigError) as refused:
        await rig.auth.create(ADMIN, SEED_ROLE, "role.yaml")
    assert str(refused.value) == 'role.yaml:9: spec.allow.db_names: "^(" is not a regular expression'
    with pytest.raises(NotFoundError):
        await rig.auth.get(ADMIN, "role", "db-access")


async def test_a_problem_of_unknown_severity_refuses(rig: Rig) -> None:
    rig.policy.problems = [FoundProblem("", "spec", "what is this")]
    with pytest.raises(ConfigError):
        await rig.auth.create(ADMIN, SEED_ROLE, "role.yaml")


async def test_warnings_of_both_kinds_come_back(rig: Rig) -> None:
    rig.policy.problems = [FoundProblem("warning", "spec.deny", "not carried out")]
    text = SEED_ROLE.replace("deny: {}", "deny: {logins: [root]}")
    (done,) = await rig.auth.create(ADMIN, text, "role.yaml")
    assert done.warnings == (
        "role.yaml:13: spec.deny.logins: is about other resources and has no effect",
        "role.yaml:13: spec.deny: not carried out",
    )


async def test_a_role_in_use_is_not_removed(rig: Rig) -> None:
    await rig.auth.create(ADMIN, f"{SEED_ROLE}---\n{USER}", "all.yaml")
    with pytest.raises(ConflictError, match="role 'db-access' is in use by ada"):
        await rig.auth.delete(ADMIN, "role", "db-access")
    await rig.auth.delete(ADMIN, "user", "ada")
    await rig.auth.delete(ADMIN, "role", "db-access")
    assert [kind for kind, _ in rig.log.events[-2:]] == [Kind.USER_DELETE, Kind.RESOURCE_DELETE]


async def test_a_join_token_has_a_secret_that_is_told_once_and_ends_in_half_an_hour(rig: Rig) -> None:
    (made,) = await rig.auth.create(ADMIN, TOKEN, "token.yaml")
    assert len(bytes.fromhex(made.secret)) == 32
    stored = await rig.auth.get(ADMIN, "token", "agent")
    assert stored.document["metadata"]["expires"] == "2026-03-01T12:30:00Z"
    assert made.secret not in repr(stored)
    assert made.secret not in repr(made)
    assert made.secret not in repr(rig.log.events)
    await rig.auth.delete(ADMIN, "token", "agent")


@pytest.mark.parametrize("expires", ["2026-03-01T12:30:01Z", "2026-03-01T12:00:00Z", "2026-02-30T00:00:00Z"])
async def test_a_join_token_ends_within_half_an_hour(rig: Rig, expires: str) -> None:
    text = TOKEN.replace("name: agent", f"name: agent, expires: '{expires}'")
    with pytest.raises(ConfigError, match="expires"):
        await rig.auth.create(ADMIN, text, "token.yaml")


async def test_unknown_kinds_are_named(rig: Rig) -> None:
    with pytest.raises(ConfigError, match=r"there is no kind 'roles', .*did you mean \"role\"\?"):
        await rig.auth.list(ADMIN, "roles")


async def test_no_record_no_change(rig: Rig) -> None:
    await rig.auth.create(ADMIN, f"{SEED_ROLE}---\n{DB}", "all.yaml")
    before = await rig.store.snapshot()
    rig.log.broken = True
    for attempt in (
        rig.auth.create(ADMIN, LOCK, "lock.yaml"),
        rig.auth.create(ADMIN, DB.replace("5432", "1"), "db.yaml", force=True),
        rig.auth.delete(ADMIN, "db", "pg"),
        rig.auth.add_user(ADMIN, "bob", roles=["access"]),
    ):
        with pytest.raises(AuditError):
            await attempt
    assert await rig.store.snapshot() == before


async def test_every_operation_asks_the_policy_and_a_refusal_changes_nothing(rig: Rig) -> None:
    await rig.add("ada")
    await rig.auth.create(ADMIN, DB, "db.yaml")
    before, events = await rig.store.snapshot(), len(rig.log.events)
    rig.policy.admin_answer = denied("rule_missing", "no role of yours has a rule for that")
    operations: dict[tuple[str, str], Callable[[], Awaitable[object]]] = {
        ("create", "lock"): lambda: rig.auth.create(ADMIN, LOCK, "x"),
        ("update", "db"): lambda: rig.auth.update(ADMIN, DB, "x", expected=1),
        ("read", "db"): lambda: rig.auth.get(ADMIN, "db", "pg"),
        ("list", "role"): lambda: rig.auth.list(ADMIN, "role"),
        ("delete", "db"): lambda: rig.auth.delete(ADMIN, "db", "pg"),
        ("create", "user"): lambda: rig.auth.add_user(ADMIN, "bob", roles=[]),
        ("update", "user"): lambda: rig.auth.set_roles(ADMIN, "ada", []),
        ("delete", "user"): lambda: rig.auth.remove_user(ADMIN, "ada"),
        ("list", "user"): lambda: rig.auth.list_users(ADMIN),
        ("create", "database_certificate"): lambda: rig.auth.sign_db_server(ADMIN, ["db"]),
        ("read", "cert_authority"): lambda: rig.auth.export_ca(ADMIN, "host"),
        ("read", "cluster"): lambda: rig.auth.status(ADMIN),
    }
    for (verb, kind), operation in operations.items():
        rig.policy.asked.clear()
        with pytest.raises(AccessError, match="no role of yours") as refused:
            await operation()
        assert refused.value.code == "rule_missing"
        assert [(asked[1], asked[2]) for asked in rig.policy.asked] == [(verb, kind)]
    others: list[Callable[[], Awaitable[object]]] = [
        lambda: rig.auth.set_traits(ADMIN, "ada", {}),
        lambda: rig.auth.reset_user(ADMIN, "ada"),
        lambda: rig.auth.delete(ADMIN, "user", "ada"),
    ]
    for more in others:
        with pytest.raises(AccessError):
            await more()
    assert await rig.store.snapshot() == before
    assert len(rig.log.events) == events


async def test_what_is_neither_yes_nor_no_is_not_a_yes(rig: Rig) -> None:
    rig.policy.admin_answer = None  # type: ignore[assignment]  # a policy gone wrong
    with pytest.raises(AssertionError):
        await rig.auth.list(ADMIN, "role")


async def test_a_listing_needs_reading_too(rig: Rig) -> None:
    await rig.auth.list(ADMIN, "role")
    assert rig.policy.asked == [("admin", "list", "role", ""), ("admin", "read", "role", "")]


# Presets


async def test_the_first_start_makes_three_roles(rig: Rig) -> None:
    assert [role.name for role in await rig.store.list("role")] == ["access", "auditor", "editor"]


async def test_a_removed_preset_stays_removed_and_a_changed_one_changed(rig: Rig) -> None:
    await rig.auth.delete(ADMIN, "role", "auditor")
    await rig.auth.create(ADMIN, SEED_ROLE.replace("db-access", "access"), "role.yaml", force=True)
    await presets.create(rig.store)
    assert [role.name for role in await rig.store.list("role")] == ["access", "editor"]
    assert (await rig.store.get("role", "access")).document["spec"]["deny"] == {}
    assert "options" not in (await rig.store.get("role", "access")).document["spec"]


async def test_the_presets_are_roles_that_could_have_been_written_by_hand(rig: Rig) -> None:
    for preset in presets.PRESETS:
        (done,) = await rig.auth.create(ADMIN, json.dumps(preset.document), "preset.json", force=True)
        assert done.warnings == ()


# Databases


def test_a_database_is_the_same_in_both_forms() -> None:
    database = Database(
        name="pg",
        protocol="postgres",
        uri="localhost:5432",
        description="orders",
        labels={"env": "prod"},
        auth=BackendAuth.SCRAM,
        tls=BackendTls(ca="PEM", server_name="db.example.com"),
        secret_env="PGPASS",
        max_connections=7,
    )
    assert to_database(to_resource(database)) == database
    plain = Database("pg", "postgres", "localhost:5432")
    assert to_database(to_resource(plain)) == plain
