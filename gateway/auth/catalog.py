"""Resources through the API: all documents of a file are stored, or none.

1. The whole file is read. 2. The policy is asked about each document. 3. Patterns are checked by OPA.
4. One transaction stores all of it, with one audit record each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.auth import resources, tokens, users
from gateway.auth.desk import Desk
from gateway.auth.resources import Loaded
from gateway.auth.store import KINDS, Change, Resource
from gateway.document import Problem, refuse
from gateway.errors import ConfigError, ConflictError
from gateway.mistakes import suggestion
from gateway.model.event import Kind
from gateway.model.identity import Subject

_CREATED = {"user": Kind.USER_CREATE}
_UPDATED = {"user": Kind.USER_UPDATE}


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one document. ``secret`` is a join token's, told this once."""

    kind: str
    name: str
    action: Literal["created", "updated"]
    revision: int
    warnings: tuple[str, ...] = ()
    secret: str = field(default="", repr=False)


async def create(desk: Desk, subject: Subject, text: str, filename: str, *, force: bool) -> list[Applied]:
    """Store every document of *text*."""
    loaded = resources.load(text, filename)
    for item in loaded:
        for verb in ("create", "update") if force else ("create",):
            await desk.authorise(subject, verb, item.resource.kind, item.resource.name)
        if bot := tokens.bot_of(item.resource.document):
            # Whoever shows the token becomes the bot, as whoever is invited becomes a user.
            await desk.authorise(subject, "update", "user", bot)
    warnings = await _validate(desk, loaded, filename)
    applied = []
    async with desk.store.change() as change:
        for item in loaded:
            done = await _apply(desk, change, item.resource, force=force)
            applied.append(_with_warnings(done, (*item.warnings, *warnings[item.resource.kind, done.name])))
        await _check_references(change, loaded)
        for done in applied:
            await _record(desk, subject, done)
    return applied


async def update(desk: Desk, subject: Subject, text: str, filename: str, *, expected: int) -> Applied:
    """Store a new form of the one resource in *text*."""
    loaded = resources.load(text, filename)
    if len(loaded) != 1:
        raise ConfigError(f"{filename}:1: expected one resource, got {len(loaded)}")
    item = loaded[0]
    if item.resource.kind == "token":
        raise ConfigError("a token is not changed once it is made", hint="remove it and make a new one")
    await desk.authorise(subject, "update", item.resource.kind, item.resource.name)
    warnings = await _validate(desk, loaded, filename)
    async with desk.store.change() as change:
        existing = await change.get(item.resource.kind, item.resource.name)
        if existing is not None and existing.kind == "user":
            users.refuse_change_of_nature(existing, item.resource)
        stored = await change.update(item.resource, expected=expected)
        await _check_references(change, loaded)
        done = Applied(stored.kind, stored.name, "updated", stored.revision)
        await _record(desk, subject, done)
    return _with_warnings(done, (*item.warnings, *warnings[stored.kind, stored.name]))


async def get(desk: Desk, subject: Subject, kind: str, name: str) -> Resource:
    """One resource."""
    _known(kind)
    await desk.authorise(subject, "read", kind, name)
    return await desk.store.get(kind, name)


async def list_kind(desk: Desk, subject: Subject, kind: str) -> Sequence[Resource]:
    """All of a kind; the documents come along, so that reading is needed too."""
    _known(kind)
    await desk.authorise(subject, "list", kind)
    await desk.authorise(subject, "read", kind)
    return await desk.store.list(kind)


async def delete(desk: Desk, subject: Subject, kind: str, name: str) -> None:
    """Remove a resource and what belongs to it."""
    _known(kind)
    if kind == "user":
        await users.remove(desk, subject, name)
        return
    await desk.authorise(subject, "delete", kind, name)
    async with desk.store.change() as change:
        if kind == "role" and (holders := await users.users_of_role(change, name)):
            raise users.conflict_in_use(name, holders)
        await change.delete(kind, name)
        if kind == "token":
            await change.drop_token(tokens.JOIN, name)
        if kind == "db":
            await change.agents.unbind(name)
        await desk.record(Kind.RESOURCE_DELETE, subject, kind=kind, name=name)


async def counts(desk: Desk) -> Mapping[str, int]:
    """How many resources of each kind there are."""
    return {kind: len(await desk.store.list(kind)) for kind in KINDS}


def _known(kind: str) -> None:
    if kind not in KINDS:
        near = suggestion(kind, KINDS)
        raise ConfigError(f"there is no kind {kind!r}, expected one of {', '.join(KINDS)}{near}")


async def _validate(
    desk: Desk, loaded: Sequence[Loaded], filename: str
) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """Let OPA look at every document; its errors refuse all, its warnings are returned."""
    errors: list[Problem] = []
    warnings: dict[tuple[str, str], tuple[str, ...]] = {}
    for item in loaded:
        found = await desk.hooks.policy.validate_patterns(item.resource.document)
        told = [(item.problem(problem.path, problem.message), problem.severity) for problem in found]
        # Whatever is not plainly a warning refuses the document.
        errors.extend(problem for problem, severity in told if severity != "warning")
        errors.extend(_unknown_protocol(desk, item))
        key = (item.resource.kind, item.resource.name)
        warnings[key] = tuple(problem.text(filename) for problem, severity in told if severity == "warning")
    refuse(filename, errors)
    return warnings


def _unknown_protocol(desk: Desk, item: Loaded) -> list[Problem]:
    known = sorted(desk.hooks.protocols)
    if item.resource.kind != "db" or not known:
        return []
    protocol = item.resource.document["spec"]["protocol"]
    if protocol in known:
        return []
    sentence = f"expected one of {', '.join(known)}, got {protocol!r}{suggestion(protocol, known)}"
    return [item.problem("spec.protocol", sentence)]


async def _apply(desk: Desk, change: Change, resource: Resource, *, force: bool) -> Applied:
    existing = await change.get(resource.kind, resource.name)
    secret = ""
    if resource.kind == "token":
        resource, secret = await tokens.mint(desk, change, resource)
    if resource.kind == "db" and await change.agents.serving(resource.name):
        raise ConflictError(
            f"database {resource.name!r} is served by a database service elsewhere",
            hint=f"change it in that service's file, or remove it here: regate rm db/{resource.name}",
        )
    if resource.kind == "user" and existing is None:
        await change.forget(resource.name)
    if resource.kind == "user" and existing is not None:
        users.refuse_change_of_nature(existing, resource)
    stored = await change.create(resource, replace=force)
    action: Literal["created", "updated"] = "created" if existing is None else "updated"
    return Applied(stored.kind, stored.name, action, stored.revision, secret=secret)


async def _check_references(change: Change, loaded: Sequence[Loaded]) -> None:
    for item in loaded:
        if item.resource.kind == "user":
            await users.require_roles(change, item.resource.document["spec"]["roles"])


async def _record(desk: Desk, subject: Subject, done: Applied) -> None:
    kinds = _CREATED if done.action == "created" else _UPDATED
    plain = Kind.RESOURCE_CREATE if done.action == "created" else Kind.RESOURCE_UPDATE
    await desk.record(
        kinds.get(done.kind, plain), subject, kind=done.kind, name=done.name, revision=done.revision
    )


def _with_warnings(done: Applied, warnings: tuple[str, ...]) -> Applied:
    return Applied(done.kind, done.name, done.action, done.revision, warnings, done.secret)
