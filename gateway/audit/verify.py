"""Does a log say what it said when it was signed? Needs the files, the public key, and nothing else.

All records are read in order. Where a checkpoint ends, the tree over the records must have the root that
it signs. The leaf files are no evidence, they only help to say *which* record is the first bad one: where
a leaf differs from its record and the next root does not fit, it is that record.

What this can see depends on the newest checkpoint that it is given. The log's own guards against
everything but the exchange of the whole directory for an older copy; a checkpoint that was kept elsewhere
(*trusted*) guards against that too. Records that no checkpoint covers yet, a second's worth, are checked
for their form only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.audit import checkpoint, note
from gateway.audit.checkpoint import Checkpoint
from gateway.audit.encode import decode
from gateway.audit.intents import Intents
from gateway.audit.layout import CHECKPOINTS, Segment, read_state, segments
from gateway.audit.notes import notes
from gateway.audit.read import Line, lines
from gateway.audit.tree import HASH_SIZE, Frontier, leaf_hash
from gateway.errors import AuditError


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be; *index* names the record, where one can be named.

    A warning does not make the log bad: it is about what only helps, or about a record that is being
    written.
    """

    message: str
    index: int | None = None
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit of a log found. ``covered`` of the ``records`` are signed by ``checkpoint``."""

    ok: bool
    records: int
    first_bad: int | None
    findings: tuple[Finding, ...]
    checkpoint: Checkpoint | None
    covered: int = 0


def verify(
    directory: Path,
    public_key: Ed25519PublicKey,
    *,
    origin: str = "",
    trusted: Checkpoint | None = None,
) -> Report:
    """Check the whole log in *directory* against its own checkpoints and, if given, against *trusted*.

    *origin* is the log's name, if it is known; else its checkpoints tell it. Never raises for what the
    files say: that is a finding.
    """
    walk = _Walk(directory, public_key, origin, trusted)
    try:
        walk.run()
    except (AuditError, OSError) as error:
        walk.blame(str(error))
    return walk.report()


class _Walk:
    """One audit on its way through the records."""

    def __init__(
        self, directory: Path, public_key: Ed25519PublicKey, origin: str, trusted: Checkpoint | None
    ) -> None:
        self._directory = directory
        self._key = public_key
        self._origin = origin
        self._trusted = trusted
        self._findings: list[Finding] = []
        self._frontier = Frontier()
        self._intents = Intents()
        self._good = 0  # so many records led to a signed root
        self._suspect: int | None = None  # the first record behind them that its stored leaf contradicts
        self._head: Checkpoint | None = None
        self._covered = 0

    def run(self) -> None:
        """Read everything; stops at the first record that is certainly bad."""
        # The checkpoints are read before the records, so that a running writer is only ever ahead of them.
        path = self._directory / CHECKPOINTS
        size = path.stat().st_size
        self._head = self._last(path, size)
        heads = self._signed(path, size)
        if self._records(heads):
            self._end()

    def blame(self, message: str, index: int | None = None) -> None:
        """Note what makes the log bad."""
        self._findings.append(Finding(message, index))

    def report(self) -> Report:
        """What was found."""
        bad = [item for item in self._findings if not item.warning]
        named = [item.index for item in bad if item.index is not None]
        return Report(
            ok=not bad,
            records=self._frontier.size,
            first_bad=min(named, default=None),
            findings=tuple(self._findings),
            checkpoint=self._head,
            covered=self._covered if not bad else self._good,
        )

    def _warn(self, message: str, index: int | None = None) -> None:
        self._findings.append(Finding(message, index, warning=True))

    def _verifier(self) -> note.Verifier:
        return note.verifier(self._origin, self._key)

    def _last(self, path: Path, size: int) -> Checkpoint:
        """The newest whole checkpoint: the one whose signature everything rests on."""
        last = b""
        for text in notes(path, size):
            last = text
        if not last:
            raise AuditError(f"{path} holds no checkpoint")
        if not self._origin:
            self._origin = last.split(b"\n", 1)[0].decode("utf-8", "replace")
        head = checkpoint.verify(last, self._verifier())
        if self._trusted is not None and self._trusted.origin != head.origin:
            raise AuditError(
                f"the log is {head.origin!r}, the trusted checkpoint is of {self._trusted.origin!r}"
            )
        return head

    def _signed(self, path: Path, size: int) -> Iterator[tuple[Checkpoint, bytes]]:
        """All checkpoints in order, with the notes they came in."""
        before = 0
        for text in notes(path, size):
            try:
                head = checkpoint.parse(text.decode().partition("\n\n")[0] + "\n")
            except (AuditError, UnicodeDecodeError):
                self.blame(f"a checkpoint behind the one for {before} records cannot be read")
                continue
            if head.origin != self._origin or head.size < before:
                self.blame(f"the checkpoint for {head.size} records stands in a wrong place")
                continue
            before = head.size
            yield head, text

    def _records(self, heads: Iterator[tuple[Checkpoint, bytes]]) -> bool:
        """Walk through the records; False when one was found bad."""
        current: Segment | None = None
        leaves: Iterator[bytes] = iter(())
        head = next(heads, None)
        while head is not None and head[0].size == 0:
            if not self._fits(*head):
                return False
            head = next(heads, None)
        for line in lines(self._directory):
            if line.segment != current:
                if not self._enter(line.segment):
                    return False
                current, leaves = line.segment, _leaves(line.segment)
            if not self._take(line, next(leaves, b"")):
                return not line.whole and self._tail(line)
            while head is not None and head[0].size == self._frontier.size:
                if not self._fits(*head):
                    return False
                head = next(heads, None)
            if not self._as_trusted():
                return False
        return True

    def _enter(self, segment: Segment) -> bool:
        """A segment begins where the one before it ended, and its state follows from the records."""
        if segment.first != self._frontier.size:
            self.blame(f"{segment.log.name} begins at the wrong record", self._frontier.size)
            return False
        try:
            frontier, intents = read_state(segment)
        except AuditError as error:
            self.blame(str(error))
            return True
        if frontier.nodes != self._frontier.nodes or intents.to_json() != self._intents.to_json():
            self.blame(f"{segment.state.name} does not follow from the records before it")
        return True

    def _take(self, line: Line, leaf: bytes) -> bool:
        index = self._frontier.size
        if not line.whole:
            return False
        try:
            record = decode(line.data)
        except AuditError as error:
            self._name(f"record {index}: {error}", index)
            return False
        if record.index != index:
            self._name(f"where record {index} belongs stands record {record.index}", index)
            return False
        digest = leaf_hash(line.data)
        if leaf and leaf != digest and self._suspect is None:
            self._suspect = index
        self._frontier.append(digest)
        self._intents.observe(record.event)
        return True

    def _tail(self, line: Line) -> bool:
        """A line without its end: being written just now, or torn, unless a checkpoint covers it."""
        index = self._frontier.size
        if self._head is not None and index >= self._head.size:
            self._warn(f"record {index} is being written, or torn: {len(line.data)} bytes", index)
            return True
        self._name(f"record {index} has no end", index)
        return False

    def _fits(self, head: Checkpoint, text: bytes) -> bool:
        """Compare the tree with a checkpoint that ends here."""
        if self._frontier.root() == head.root:
            if self._suspect is not None:
                self._warn(f"the stored leaf of record {self._suspect} is wrong; the record is not")
            self._good, self._suspect = head.size, None
            self._covered = head.size
            return True
        try:
            checkpoint.verify(text, self._verifier())
        except AuditError as error:
            self.blame(f"the checkpoint for {head.size} records is not genuine: {error}")
            return True
        self._accuse(head)
        return False

    def _as_trusted(self) -> bool:
        trusted = self._trusted
        if trusted is None or trusted.size != self._frontier.size or trusted.root == self._frontier.root():
            return True
        if self._good >= trusted.size:
            self.blame(
                f"this log signed another past: its first {trusted.size} records are not the trusted ones"
            )
        else:
            self._accuse(trusted)
        return False

    def _accuse(self, head: Checkpoint) -> None:
        """Name the record that makes the tree differ from *head*, as closely as can be told."""
        if self._suspect is not None:
            self.blame(f"record {self._suspect} is not the one that was signed", self._suspect)
        elif head.size == 0:
            self.blame("the checkpoint of the empty log is not that of an empty log")
        else:
            self.blame(f"records {self._good} to {head.size - 1} are not those that were signed", self._good)

    def _name(self, message: str, index: int) -> None:
        """A record that is bad by itself; an earlier one may have been changed in silence."""
        if self._suspect is not None:
            self.blame(f"record {self._suspect} differs from its stored leaf", self._suspect)
        self.blame(message, index)

    def _end(self) -> None:
        """After the last record: nothing that was signed may be missing."""
        size = self._frontier.size
        for head, whose in ((self._head, "its checkpoint"), (self._trusted, "the trusted checkpoint")):
            if head is not None and head.size > size:
                self._name(f"record {size} is missing: {whose} covers {head.size} records", size)
                return
        if self._trusted is not None and self._trusted.size == 0:
            self._as_trusted()


def _leaves(segment: Segment) -> Iterator[bytes]:
    """The stored leaf hashes; whatever is not there is not compared."""
    try:
        with segment.leaves.open("rb") as stream:
            while len(leaf := stream.read(HASH_SIZE)) == HASH_SIZE:
                yield leaf
    except FileNotFoundError:
        return


def has_log(directory: Path) -> bool:
    """True when *directory* holds a log, readable or not."""
    return (directory / CHECKPOINTS).exists() or (directory.is_dir() and bool(segments(directory)))
