"""Where the logs of other services are kept: a folder for each, and in it one copy for each epoch.

    <root>/<service>/seen                 its time of change is when the service was last heard
    <root>/<service>/000001/              a log in the usual files, and besides
    <root>/<service>/000001/key           who signs it

The calls block and touch the disk; for one service they come one after another.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote

from gateway.audit import checkpoint, notes
from gateway.audit.checkpoint import Checkpoint
from gateway.audit.files import Files, SystemFiles, private_directory, words
from gateway.audit.ledger import write_new
from gateway.audit.note import Verifier, parse_verifier
from gateway.audit.replica import SEGMENT_BYTES, InconsistentError, MisplacedError, Replica
from gateway.audit.ship import MOST_EPOCHS, NOTHING, Header, Held
from gateway.audit.source import LogSource
from gateway.errors import AuditError

KEY = "key"
SEEN = "seen"
_EPOCH = re.compile(r"\d{6}")
_MOST_NAME = 200  # bytes of a folder's name


@dataclass(frozen=True, slots=True)
class Copy:
    """One epoch of a service's log; ``trusted`` is the key that its file names, for whoever believes it."""

    service: str
    epoch: int
    directory: Path
    trusted: Verifier
    is_current: bool


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that is recorded in the auth service's own log; *checkpoints* are signed evidence."""

    code: str
    message: str
    epoch: int
    checkpoints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Greeted:
    """The answer to a shown checkpoint; *incident* is None when all is as it should be."""

    held: Held
    incident: Incident | None = None


class ForkError(InconsistentError):
    """What the origin signed contradicts the copy; *incident* holds the evidence."""

    def __init__(self, incident: Incident) -> None:
        super().__init__(incident.message)
        self.incident = incident


@dataclass(slots=True)
class Depot:
    """The copies below *root*."""

    root: Path
    files: Files = field(default_factory=SystemFiles)
    segment_bytes: int = SEGMENT_BYTES
    _open: dict[str, tuple[int, Replica]] = field(default_factory=dict)

    def held(self, service: str) -> Held:
        """What the newest copy holds; AuditError when it cannot be trusted or read."""
        epoch, replica = self._current(service)
        if replica is None:
            return NOTHING
        head = replica.head
        return Held(epoch, head.size, head.root, replica.trusted.encode())

    def greet(self, service: str, trusted: Verifier, epoch: int, note: bytes) -> Greeted:
        """A service shows its newest checkpoint; with the next *epoch* it begins its log anew.

        Raises:
            ForkError: the checkpoint contradicts the copy, and says that it continues it.
            MisplacedError: there is no such epoch.
            AuditError: the checkpoint is not genuine, or the copy cannot be trusted or written.
        """
        current, replica = self._current(service)
        if epoch == current + 1:
            return self._begin(service, trusted, epoch, note)
        if replica is None or epoch != current:
            raise MisplacedError(f"the copy is in epoch {current}, not {epoch}")
        self._same_signer(service, current, trusted)
        head = replica.verify(note)
        self._compare(service, current, head, note)
        self._heard(service)
        return Greeted(self.held(service))

    def take(self, service: str, trusted: Verifier, header: Header, lines: IO[bytes]) -> Held:
        """Store a batch, or raise as ``Replica.append`` and ``greet`` do."""
        current, replica = self._current(service)
        if replica is None or header.epoch != current:
            raise MisplacedError(f"the copy is in epoch {current}, not {header.epoch}")
        self._same_signer(service, current, trusted)
        try:
            head = replica.append(header.first, header.note, lines)
        except InconsistentError as error:
            raise ForkError(self._fork(service, current, str(error), header.note)) from error
        except OSError as error:
            del self._open[service]
            raise AuditError(f"the copy of {service}'s log cannot be written: {words(error)}") from error
        self._heard(service)
        return Held(current, head.size, head.root, trusted.encode())

    def copies(self) -> list[Copy]:
        """Every copy there is, by service and epoch."""
        if not self.root.is_dir():
            return []
        found: list[Copy] = []
        for folder in sorted(path for path in self.root.iterdir() if path.is_dir()):
            epochs = _epochs(folder)
            for epoch in epochs:
                directory = folder / f"{epoch:06d}"
                trusted = _key(directory)
                found.append(Copy(unquote(folder.name), epoch, directory, trusted, epoch == epochs[-1]))
        return found

    def copies_of(self, service: str) -> list[Path]:
        """The folders of a service's copies, the newest first."""
        folder = self._folder(service)
        epochs = _epochs(folder) if folder.is_dir() else []
        return [folder / f"{epoch:06d}" for epoch in reversed(epochs)]

    def seen_ns(self, service: str) -> int | None:
        """When the service was last heard, in nanoseconds; None when never."""
        try:
            return (self._folder(service) / SEEN).stat().st_mtime_ns
        except OSError:
            return None

    def _current(self, service: str) -> tuple[int, Replica | None]:
        known = self._open.get(service)
        if known is not None:
            return known
        folder = self._folder(service)
        epochs = _epochs(folder) if folder.is_dir() else []
        if not epochs:
            return 0, None
        directory = folder / f"{epochs[-1]:06d}"
        try:
            replica = Replica(directory, _key(directory), self.files, segment_bytes=self.segment_bytes)
        except OSError as error:
            raise AuditError(f"the copy of {service}'s log cannot be read: {words(error)}") from error
        self._open[service] = (epochs[-1], replica)
        return epochs[-1], replica

    def _begin(self, service: str, trusted: Verifier, epoch: int, note: bytes) -> Greeted:
        if epoch > MOST_EPOCHS:
            raise AuditError(f"the log of {service} was begun anew {epoch} times", hint="find out why")
        current, replica = self._current(service)
        folder = self._folder(service)
        try:
            notes.head_of(note)
            head = checkpoint.verify(note, trusted)
            private_directory(self.root)
            private_directory(folder)
            directory = folder / f"{epoch:06d}"
            private_directory(directory)
            self.files.remove(directory / KEY)  # of a begin that was interrupted
            write_new(self.files, directory / KEY, trusted.encode().encode() + b"\n")
            begun = Replica(directory, trusted, self.files, segment_bytes=self.segment_bytes)
            self.files.sync_directory(folder)
        except OSError as error:
            raise AuditError(f"the copy of {service}'s log cannot be written: {words(error)}") from error
        self._open[service] = (epoch, begun)
        self._heard(service)
        held = Held(epoch, 0, NOTHING.root, trusted.encode())
        if replica is None:
            return Greeted(held)
        expected = replica.head.size
        message = f"log restarted at 0, {expected} records expected; it now has {head.size}"
        evidence = (*self._last_note(service, current), note.decode())
        return Greeted(held, Incident("log_restarted", message, epoch, evidence))

    def _compare(self, service: str, epoch: int, head: Checkpoint, note: bytes) -> None:
        """A genuine checkpoint must be of the same past, and not older than what was shipped."""
        held = self.held(service)
        if head.size > held.size:
            return
        directory = self._folder(service) / f"{epoch:06d}"
        if LogSource(directory).root_at(head.size) != head.root:
            why = f"two pasts were signed: the checkpoint for {head.size} records is not that of the copy"
            raise ForkError(self._fork(service, epoch, why, note))
        if head.size < held.size:
            why = f"log rolled back to {head.size} records, {held.size} expected"
            raise ForkError(self._fork(service, epoch, why, note, code="log_rolled_back"))

    def _fork(self, service: str, epoch: int, why: str, note: bytes, *, code: str = "log_forked") -> Incident:
        return Incident(code, why, epoch, (*self._last_note(service, epoch), note.decode()))

    def _last_note(self, service: str, epoch: int) -> Sequence[str]:
        try:
            _, text = LogSource(self._folder(service) / f"{epoch:06d}").newest()
        except AuditError:
            return ()
        return (text.decode(),)

    def _same_signer(self, service: str, epoch: int, trusted: Verifier) -> None:
        if _key(self._folder(service) / f"{epoch:06d}") != trusted:
            raise MisplacedError(f"epoch {epoch} was signed with another key: the log must begin anew")

    def _heard(self, service: str) -> None:
        path = self._folder(service) / SEEN
        path.touch(mode=0o600)
        os.utime(path)

    def _folder(self, service: str) -> Path:
        """The service's folder; a name cannot lead out of the root."""
        name = quote(service, safe="")
        if not name.strip(".") or len(name) > _MOST_NAME:
            raise AuditError(f"not a name for a service: {service[:64]!r}")
        return self.root / name


def _epochs(folder: Path) -> list[int]:
    """The epochs of a service; one that was never finished being begun has no key and does not count."""
    return sorted(
        int(path.name) for path in folder.iterdir() if _EPOCH.fullmatch(path.name) and (path / KEY).exists()
    )


def _key(directory: Path) -> Verifier:
    try:
        return parse_verifier((directory / KEY).read_text(encoding="utf-8").rstrip("\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"{directory / KEY} cannot be read") from error
