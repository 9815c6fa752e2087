"""Where a command finds policies: a folder, a bundle, a revision of git, or the cluster itself (``live``)."""

import base64
import io
import json
import subprocess
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from gateway.analysis import world
from gateway.analysis.world import KINDS, World
from gateway.audit.read import OWN
from gateway.cli import channel
from gateway.cli.client import Api, segment
from gateway.errors import ConfigError, NotFoundError
from gateway.mistakes import suggestion
from gateway.schema import data_dir

LIVE = "live"
_LISTED = {"user": "users ls", "database": "db ls"}
_NEEDED = ("role", "user", "db")
_PEOPLE_AND_PLACES = ("user", "db")  # no publication changes them: in a repository they are for its tests
_READ = frozenset((".yaml", ".yml", ".json", ".rego"))  # what means something in a policy repository
_MOST = 64 * 1024 * 1024  # bytes of Rego in a bundle


@contextmanager
def opened(name: str, config: str, proxy: str) -> Iterator[World]:
    """The world that *name* means; what it needed of the disk is gone with the block.

    Raises:
        ConfigError: it is none of a folder, a bundle, a git revision and ``live``, or holds mistakes.
    """
    path = Path(name)
    with TemporaryDirectory(prefix="regate-policy-") as scratch:
        if name == LIVE:
            yield _live(channel.admin(config, proxy), Path(scratch))
        elif path.is_dir():
            yield world.read(path)
        elif path.is_file():
            yield _bundle(_bytes(path), Path(scratch), name)
        else:
            yield _revision(name, Path(scratch))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error


def _live(api: Api, scratch: Path) -> World:
    """The cluster's resources, and the bundle that is in force there."""
    documents = [item["document"] for kind in KINDS for item in api.get(f"/v1/resources/{kind}")["resources"]]
    loads = list(api.lines("/v1/audit", {"kind": "policy.load", "limit": 1, "origin": OWN}))
    shipped = World(data_dir("policies"), None, ())
    if loads:
        revision = str(loads[0]["fields"]["policy_revision"])
        try:
            found = api.get(f"/v1/evidence/policy/{segment(revision)}", {"at": time.time_ns()})
        except NotFoundError:
            pass  # not kept yet: a cluster that has just started; it began with the shipped policies
        else:
            shipped = _bundle(base64.b64decode(found["bundle"]), scratch, f"bundle {revision}")
    # The roles that travel in the bundle decide nothing before they are stored.
    return World(shipped.shipped, shipped.team, world.stored(documents), is_live=True)


def need_user(world: World, name: str, source: str) -> None:
    """NotFoundError where *world*, which was read from *source*, knows nobody of that name."""
    if name not in world.users():
        raise _missing("user", name, world.users(), source)


def need_database(world: World, name: str, source: str) -> None:
    """NotFoundError where *world*, which was read from *source*, has no database of that name."""
    if name not in world.databases():
        raise _missing("database", name, world.databases(), source)


def _missing(what: str, name: str, known: Iterable[str], source: str) -> NotFoundError:
    where, listed = source, "its resources are the files in data/ and roles/"
    if source == LIVE:
        where, listed = "the cluster", f"list them with: regate {_LISTED[what]}"
    return NotFoundError(
        f"there is no {what} {name!r} in {where}{suggestion(name, tuple(known))}", hint=listed
    )


def _bundle(content: bytes, scratch: Path, name: str) -> World:
    """The Rego of a bundle, and the roles that travel in it."""
    left, roles = _MOST, []
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            for member in archive:
                path = PurePosixPath(member.name.lstrip("/"))
                left -= member.size
                source = archive.extractfile(member)
                if source is None or ".." in path.parts:
                    continue
                if left < 0:
                    raise ConfigError(f"{name} holds more than {_MOST} bytes")
                if path.name == "data.json":
                    roles += _roles(json.loads(source.read()), path.parent.parts)
                if path.suffix != ".rego":
                    continue
                is_library = path.parts[0] == "gateway"
                target = scratch / ("library" if is_library else "team") / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read())
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        hint = "give a folder, a bundle (regate policy build makes one), a revision of git, or live"
        raise ConfigError(f"{name} is no bundle: {error}", hint=hint) from error
    library, team = scratch / "library", scratch / "team"
    if not library.is_dir():
        raise ConfigError(f"{name} is no bundle of Regate: it lacks the package gateway")
    return World(library, team if team.is_dir() else None, world.stored(roles))


def _roles(data: Any, at: tuple[str, ...]) -> list[Mapping[str, Any]]:
    """The documents below ``gateway.repository.roles`` in a data file of the folder *at*."""
    for key in ("gateway", "repository", "roles")[len(at) :]:
        data = data.get(key) if isinstance(data, dict) else None
    return list(data.values()) if isinstance(data, dict) else []


def _revision(name: str, scratch: Path) -> World:
    """The repository around this folder, as it was at a revision of git."""
    hint = "give a folder, a bundle, a revision of git, or live"
    if name.startswith("-"):
        raise ConfigError(f"there is no folder, bundle or git revision {name!r}", hint=hint)
    try:
        done = subprocess.run(  # noqa: S603 # git, with one argument of the user's that is no option
            ["git", "archive", "--format=tar", name, "."],  # noqa: S607 # the user's own git
            capture_output=True, check=False, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(
            f"there is no folder or bundle {name!r}, and git cannot be run", hint=hint
        ) from error
    if done.returncode != 0:
        raise ConfigError(f"there is no folder, bundle or git revision {name!r}", hint=hint)
    _unpack(done.stdout, scratch, name)
    return world.read(scratch)


def _unpack(content: bytes, scratch: Path, name: str) -> None:
    """The files in an archive of git's. tarfile's own filters are not in every Python 3.11."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            source = archive.extractfile(member) if member.isreg() else None
            if path.is_absolute() or ".." in path.parts:
                raise ConfigError(f"{name} holds {member.name!r}, which is outside of the repository")
            if source is not None:
                target = scratch / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read())
            elif not member.isdir() and path.suffix in _READ:
                raise ConfigError(f"{member.name} is a link in {name}: what it leads to cannot be compared")


def completed(first: World, second: World) -> tuple[World, World]:
    """Both, with what each lacks.

    Against a cluster a version is what the cluster would have after its publication: the cluster's users and
    databases, and its other resources with those of the version in the place of their namesakes. Of two
    repositories each has the other's roles, users or databases where it has none of its own.
    """
    return _filled(first, second), _filled(second, first)


def _filled(one: World, other: World) -> World:
    if not other.is_live:
        missing = [item for kind in _NEEDED if not one.of(kind) for item in other.of(kind)]
        return replace(one, placed=(*one.placed, *missing))
    known = {kind for kind in _PEOPLE_AND_PLACES if other.of(kind)}
    own = [item for item in one.placed if item.kind not in known]
    names = {(item.kind, item.name) for item in own}
    return replace(
        one, placed=(*own, *(item for item in other.placed if (item.kind, item.name) not in names))
    )
