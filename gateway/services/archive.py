"""The file that a backup is: a tar archive inside of an age file that a passphrase opens.

Both are public formats (https://c2sp.org/age, POSIX pax): ``age -d FILE | tar x`` opens a backup without
Regate. What is inside is read strictly: the members below, each once, each of a bounded size.

    manifest.json   what this is, of which cluster, from when
    state.json      every table of the state
    sealing.key     what the keys in the state are sealed with
"""

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gateway.auth.store.dump import Dump
from gateway.errors import ConfigError

FORM = 1
MANIFEST, STATE, KEY = "manifest.json", "state.json", "sealing.key"
MAX_BYTES = 2 * 1024 * 1024 * 1024
_MAGIC = b"age-encryption.org/v1\n"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself.

    ``checkpoint`` is the newest one of the audit log at that time, whole; empty when there was no log.
    ``created`` is RFC 3339. ``bundle`` is the number of the last policy bundle.
    """

    cluster: str
    created: str
    program: str
    origin: str
    checkpoint: str
    data_revision: int
    bundle: int


@dataclass(frozen=True, slots=True)
class Backup:
    """Everything that is in the file; ``sealing_key`` is the key file's content."""

    manifest: Manifest
    state: Dump
    sealing_key: bytes


def seal(backup: Backup, passphrase: str) -> bytes:
    """The backup as a file; takes about a second, by design of the passphrase's protection."""
    import pyrage  # noqa: PLC0415 -- only these two commands need it

    state = {"version": backup.state.version, "tables": backup.state.tables}
    members = {
        MANIFEST: _json({"form": FORM, **asdict(backup.manifest)}),
        STATE: _json(state),
        KEY: backup.sealing_key,
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o600
            tar.addfile(info, io.BytesIO(data))
    sealed: bytes = pyrage.passphrase.encrypt(out.getvalue(), passphrase)
    return sealed


def unseal(data: bytes, passphrase: str, where: str) -> Backup:
    """The backup in a file's *data*; ConfigError names *where* it came from and what is wrong."""
    import pyrage  # noqa: PLC0415 -- only these two commands need it

    if not data.startswith(_MAGIC):
        raise ConfigError(f"{where} is not a backup: it is no age file")
    try:
        opened: bytes = pyrage.passphrase.decrypt(data, passphrase)
    except pyrage.DecryptError as error:
        raise ConfigError(
            f"{where} does not open: the passphrase is another one, or the file was changed"
        ) from error
    try:
        return _backup(_members(opened))
    except (tarfile.TarError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{where} is not a backup of regate, or of a newer version") from error


def _backup(members: Mapping[str, bytes]) -> Backup:
    manifest = json.loads(members[MANIFEST])
    if manifest.pop("form") != FORM:
        raise ValueError("another form")
    state = json.loads(members[STATE])
    tables = {str(name): [dict(row) for row in rows] for name, rows in state["tables"].items()}
    return Backup(_manifest(manifest), Dump(str(state["version"]), tables), members[KEY])


def _manifest(value: Mapping[str, Any]) -> Manifest:
    found = Manifest(**value)
    texts = (found.cluster, found.created, found.program, found.origin, found.checkpoint)
    numbers = (found.data_revision, found.bundle)
    if not all(isinstance(item, str) for item in texts) or not all(type(item) is int for item in numbers):
        raise TypeError("a field of the manifest has another type")
    return found


def _members(data: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for info in tar:
            stream = tar.extractfile(info) if info.isreg() else None
            if stream is None or info.name in found or info.name not in {MANIFEST, STATE, KEY}:
                raise ValueError("a member that does not belong here")
            found[info.name] = stream.read()
    return found


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
