"""The few system calls the log needs, behind a seam where tests inject a failing disk."""

import contextlib
import errno
import fcntl
import os
import stat
import typing
from pathlib import Path

from gateway.errors import AuditError

_CREATE = os.O_CREAT | os.O_EXCL
_ALWAYS = os.O_CLOEXEC | os.O_NOFOLLOW


class Files(typing.Protocol):
    """A disk: every call but ``close`` raises OSError when it did not do all that it was asked."""

    def open(self, path: Path, *, create: bool = False) -> int:
        """Open to read and write; *create* makes the file, mode 0600, and fails if it exists."""
        ...

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of *data* at *offset*."""
        ...

    def read(self, fd: int, size: int, offset: int) -> bytes:
        """Up to *size* bytes from *offset*; fewer only at the end of the file."""
        ...

    def size(self, fd: int) -> int:
        """The file's length."""
        ...

    def truncate(self, fd: int, size: int) -> None:
        """Cut the file to *size*."""
        ...

    def sync(self, fd: int) -> None:
        """Return once the file's data, and the length to read it by, are on stable storage."""
        ...

    def allocate(self, fd: int, size: int) -> None:
        """Take *size* bytes of room."""
        ...

    def remove(self, path: Path) -> None:
        """Delete a file; it may be gone already."""
        ...

    def rename(self, path: Path, target: Path) -> None:
        """Put *path* in the place of *target* and make that durable."""
        ...

    def sync_directory(self, path: Path) -> None:
        """Make new names in *path* durable."""
        ...

    def used(self, path: Path) -> int:
        """How full the file system is, in percent."""
        ...

    def close(self, fd: int) -> None:
        """Close; never fails."""
        ...


class SystemFiles:
    """The machine's own disk."""

    def open(self, path: Path, *, create: bool = False) -> int:
        """Open to read and write; *create* makes the file, mode 0600, and fails if it exists."""
        return os.open(path, os.O_RDWR | _ALWAYS | (_CREATE if create else 0), 0o600)

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of *data* at *offset*; a short write goes on until the system says why it was short."""
        done = os.pwrite(fd, data, offset)
        while done < len(data):
            done += os.pwrite(fd, memoryview(data)[done:], offset + done)

    def read(self, fd: int, size: int, offset: int) -> bytes:
        """Up to *size* bytes from *offset*; fewer only at the end of the file."""
        parts: list[bytes] = []
        while size > 0:
            part = os.pread(fd, size, offset)
            if not part:
                break
            parts.append(part)
            size, offset = size - len(part), offset + len(part)
        return b"".join(parts)

    def size(self, fd: int) -> int:
        """The file's length."""
        return os.fstat(fd).st_size

    def truncate(self, fd: int, size: int) -> None:
        """Cut the file to *size*."""
        os.ftruncate(fd, size)

    def sync(self, fd: int) -> None:
        """Return once the file's data, and the length to read it by, are on stable storage.

        A file that was removed meanwhile is on none: it ends with the process, whatever is written to it.
        """
        os.fdatasync(fd)
        if not os.fstat(fd).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "the file was removed while it was written to")

    def allocate(self, fd: int, size: int) -> None:
        """Take *size* bytes of room."""
        os.posix_fallocate(fd, 0, size)

    def remove(self, path: Path) -> None:
        """Delete a file; it may be gone already."""
        path.unlink(missing_ok=True)

    def rename(self, path: Path, target: Path) -> None:
        """Put *path* in the place of *target* and make that durable."""
        path.rename(target)
        self.sync_directory(target.parent)

    def sync_directory(self, path: Path) -> None:
        """Make new names in *path* durable."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _ALWAYS)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def used(self, path: Path) -> int:
        """How full the file system is, in percent, as an ordinary user sees it."""
        seen = os.statvfs(path)
        room = seen.f_blocks - seen.f_bfree + seen.f_bavail
        return 100 - 100 * seen.f_bavail // room if room else 0

    def close(self, fd: int) -> None:
        """Close; never fails: what had to be durable was synced before."""
        with contextlib.suppress(OSError):
            os.close(fd)


def private_directory(path: Path) -> None:
    """Make *path*, mode 0700, or accept it as it is when nobody else can enter it."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    seen = path.lstat()
    if not stat.S_ISDIR(seen.st_mode):
        raise AuditError(f"audit log {path} is not a directory")
    if stat.S_IMODE(seen.st_mode) & 0o077 or seen.st_uid != os.geteuid():
        raise AuditError(
            f"audit log {path} has mode {stat.S_IMODE(seen.st_mode):04o} and owner {seen.st_uid}",
            hint=f"chmod 700 {path}, and make the user that runs Regate its owner",
        )


def lock(path: Path) -> int:
    """The lock that one process may hold, as a descriptor; AuditError when another has it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | _ALWAYS, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise AuditError(
            f"audit log {path.parent} is open in another process",
            hint="does regate start run already? regate status says",
        ) from None
    return fd


def words(error: OSError | AuditError) -> str:
    """What went wrong, in the system's own words and without a path."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    return str(error)
