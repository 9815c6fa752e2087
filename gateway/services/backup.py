"""Taking a backup of state and keys, and putting one back, without a service.

What is put back is older than what was there. Three things must not go back with it: revision numbers (by
which everybody tells older data from newer), tokens that may be used once, and the audit log, which is no
part of a backup. The log goes on where it is; where there is none, a new one begins under a new name, since
one name must never sign two pasts. The next start records that there was a restore, and from when.
"""

import json
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from gateway.audit import naming, read
from gateway.audit.notes import head_of
from gateway.audit.read import Query
from gateway.audit.source import LogSource
from gateway.audit.verify import has_log
from gateway.auth.store import dump
from gateway.ca import seal
from gateway.clock import Clock, utc
from gateway.config import Config
from gateway.errors import AuditError, ConfigError
from gateway.files import private_directory, read_private, replace_private
from gateway.model.event import Kind
from gateway.policy import publish
from gateway.services.archive import Backup, Manifest

MARKER = "restored.json"
"""Below the data directory, from a restore to the next start."""

BUNDLES_AHEAD = 1000
"""More bundles than anybody publishes between a backup and its restore."""

_CHANGES = (
    Kind.RESOURCE_CREATE,
    Kind.RESOURCE_UPDATE,
    Kind.RESOURCE_DELETE,
    Kind.USER_CREATE,
    Kind.USER_UPDATE,
    Kind.USER_DELETE,
    Kind.USER_ACCEPT,
    Kind.AGENT_JOIN,
    Kind.AGENT_REMOVE,
    Kind.AUDIT_ORIGIN,
)


@dataclass(frozen=True, slots=True)
class Lost:
    """A change that was recorded after the backup, and is undone by the restore."""

    time_ns: int
    kind: str
    user: str
    name: str


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did; *lost* is None where no log could tell."""

    manifest: Manifest
    data_revision: int
    origin: str
    is_new_log: bool
    lost: tuple[Lost, ...] | None


async def take(config: Config, clock: Clock) -> Backup:
    """The state and keys of the auth service that *config* describes, running or not."""
    _is_auth(config)
    origin = naming.log_name(config.audit_dir, config.cluster_name)
    # The checkpoint first: what is recorded while the state is read then counts as later.
    note = LogSource(config.audit_dir).newest()[1].decode() if has_log(config.audit_dir) else ""
    state = await dump.read(config.storage)
    try:
        key = read_private(config.storage.sealing_key)
    except FileNotFoundError as error:
        raise ConfigError(f"{config.storage.sealing_key}, the key of the state, is missing") from error
    manifest = Manifest(
        cluster=config.cluster_name,
        created=utc(clock).astimezone(UTC).isoformat(timespec="seconds"),
        program=metadata.version("regate"),
        origin=origin,
        checkpoint=note,
        data_revision=state.revisions.get("data_revision", 0),
        bundle=publish.last_number(config.data_dir / "policy"),
    )
    return Backup(manifest, state, key)


async def put_back(config: Config, backup: Backup, clock: Clock, *, force: bool) -> Restored:
    """Put *backup* in the place of state and keys; ConfigError, with nothing changed, when it must not be.

    1. It must be this cluster's, and no service may run. 2. A log that is here must be the one that the
    backup saw, and not shorter. 3. Without *force* there must be no state and no key. 4. The marker is
    written first, so that no restore goes unrecorded; the state last, in one transaction.
    """
    _is_auth(config)
    manifest = backup.manifest
    if manifest.cluster != config.cluster_name:
        raise ConfigError(
            f"the backup is of cluster {manifest.cluster}, {config.path} is of {config.cluster_name}",
            hint="set cluster_name in the configuration",
        )
    _is_stopped(config)
    lost = _check_log(config.audit_dir, manifest)
    await _check_free(config, backup, force=force)
    seconds = clock.now_ns() // 1_000_000_000
    private_directory(config.data_dir)
    origin = naming.log_name(config.audit_dir, config.cluster_name)
    is_new_log = lost is None and bool(manifest.checkpoint)
    if is_new_log:
        stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%S")
        origin = naming.begin_anew(config.audit_dir, f"{config.cluster_name}/audit-{stamp}")
    about = {
        "backup_time": manifest.created,
        "backup_data_revision": manifest.data_revision,
        "lost_records": None if lost is None else len(lost),
        "checkpoints": [manifest.checkpoint] if manifest.checkpoint else [],
    }
    replace_private(config.data_dir / MARKER, json.dumps(about).encode())
    if not config.storage.sealing_key.parent.is_dir():
        private_directory(config.storage.sealing_key.parent)
    replace_private(config.storage.sealing_key, backup.sealing_key)
    publish.set_number(config.data_dir / "policy", manifest.bundle + BUNDLES_AHEAD)
    revisions = await dump.write(config.storage, backup.state, now=seconds, force=force)
    return Restored(manifest, revisions.get("data_revision", 0), origin, is_new_log, lost)


def marker(data_dir: Path) -> dict[str, Any] | None:
    """What the last restore left for the log to say; None when there was none since the last start."""
    try:
        found = json.loads(read_private(data_dir / MARKER))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ConfigError(f"{data_dir / MARKER} cannot be read") from error
    return dict(found)


def _is_auth(config: Config) -> None:
    if not config.auth_service.enabled:
        raise ConfigError(
            f"{config.path} runs no auth service: there is no state here",
            hint="run this on the host of the auth service",
        )


def _is_stopped(config: Config) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(config.admin_socket))
        except OSError:
            return
    raise ConfigError("the service runs", hint="stop it, on every node that shares the state, and try again")


async def _check_free(config: Config, backup: Backup, *, force: bool) -> None:
    """Everything that can be refused is, before a file is touched."""
    if seal.parse(backup.sealing_key) is None:
        raise ConfigError("the backup holds no sealing key")
    path = config.storage.sealing_key
    if path.exists() and path.read_bytes() != backup.sealing_key and not force:
        raise ConfigError(
            f"{path} holds the key of another state",
            hint="back that state up, then give --force to put this one in its place",
        )
    if not force:
        await dump.check_empty(config.storage)


def _check_log(directory: Path, manifest: Manifest) -> tuple[Lost, ...] | None:
    """What the log says happened after the backup; None when there is no log here."""
    if not has_log(directory):
        return None
    if not manifest.checkpoint:
        return _lost(directory, 0)
    seen = head_of(manifest.checkpoint.encode())
    source = LogSource(directory)
    aside = f"move {directory} aside, as evidence; a new log then begins under a new name"
    if naming.log_name(directory, manifest.cluster) != seen.origin:
        return _lost(directory, 0)  # begun after the backup: all of it is later
    if source.newest()[0].size < seen.size:
        raise ConfigError(
            f"the audit log in {directory} has fewer records than the backup saw ({seen.size})", hint=aside
        )
    try:
        same = source.root_at(seen.size) == seen.root
    except AuditError as error:
        raise ConfigError(f"the audit log in {directory} cannot be read: {error}", hint=aside) from error
    if not same:
        raise ConfigError(f"the audit log in {directory} is not the one that the backup saw", hint=aside)
    return _lost(directory, seen.size)


def _lost(directory: Path, start: int) -> tuple[Lost, ...]:
    found = []
    for record in read.records(directory, Query(kinds=_CHANGES)):
        if record.index < start:
            break
        fields = record.event.fields
        what = f"{fields.get('kind', '')} {fields.get('name') or fields.get('agent') or ''}".strip()
        user = str(fields.get("user", ""))
        found.append(Lost(record.event.time_ns, record.event.kind.value, user, what))
    return tuple(reversed(found))
