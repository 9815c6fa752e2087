"""The file of signed checkpoints: read in order, from its end, or from where the tree had a given size.

Every checkpoint in it is five lines: origin, size, root, a blank one, one signature. Sizes never fall from
one to the next, so that a place in the file can be found by halving it.
"""

from collections.abc import Iterator
from pathlib import Path

from gateway.audit import note
from gateway.audit.checkpoint import Checkpoint, parse
from gateway.errors import AuditError

LINES = 5
_SIGNATURE = "\n\n\u2014 ".encode()
_WINDOW = 8192  # bytes: several checkpoints of any log of ours


def notes(path: Path, size: int, start: int = 0) -> Iterator[bytes]:
    """The checkpoints between *start* and *size* bytes of a file; a torn last one is left out."""
    with path.open("rb") as stream:
        stream.seek(start)
        while stream.tell() < size:
            text = b"".join(stream.readline(note.MAX_NOTE_BYTES) for _ in range(LINES))
            if not text.endswith(b"\n") or stream.tell() > size:
                return
            yield text


def head_of(text: bytes) -> Checkpoint:
    """What a checkpoint of this file says; whether it is genuine is the signature's business."""
    if text.count(b"\n") != LINES or not text.endswith(b"\n"):
        raise AuditError("a checkpoint is five lines: origin, size, root, a blank one and a signature")
    try:
        return parse(text.decode().partition("\n\n")[0] + "\n")
    except UnicodeDecodeError:
        raise AuditError("the checkpoint is not UTF-8") from None


def newest(path: Path) -> bytes:
    """The last whole checkpoint in the file; AuditError when there is none."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - note.MAX_NOTE_BYTES))
            tail = stream.read(note.MAX_NOTE_BYTES)
    except OSError as error:
        raise AuditError(f"cannot read {path}: {error.strerror}") from error
    whole = tail[: tail.rfind(b"\n") + 1]  # the last line may be on its way to the disk
    text, mark, signature = whole.rpartition(_SIGNATURE)
    if not mark:
        raise AuditError(f"{path} holds no checkpoint")
    return b"\n".join(text.split(b"\n")[-3:]) + mark + signature.split(b"\n", 1)[0] + b"\n"


def after(path: Path, size: int) -> int:
    """Where in the file the first checkpoint begins that covers more than *size* records."""
    low, high = 0, path.stat().st_size
    with path.open("rb") as stream:
        while high - low > _WINDOW:
            middle = (low + high) // 2
            stream.seek(middle)
            data = stream.read(_WINDOW)
            start = _next_start(data)
            found = data[start:].split(b"\n", LINES)[:LINES] if start >= 0 else []
            if len(found) < LINES or middle + start >= high:
                break
            if head_of(b"\n".join(found) + b"\n").size > size:
                high = middle + start
            else:
                low = middle + start
    at = low
    for text in notes(path, path.stat().st_size, low):
        if head_of(text).size > size:
            return at
        at += len(text)
    return at


def _next_start(data: bytes) -> int:
    """Where the first whole checkpoint begins in a piece of the file; -1 when none does."""
    signature = data.find(_SIGNATURE)
    end = data.find(b"\n", signature + len(_SIGNATURE)) if signature >= 0 else -1
    return end + 1 if end >= 0 else -1
