"""Private files: made whole with mode 0600, and read only while nobody else may read them.

Files are written under another name, synced, then put into place: linked where nothing may be overwritten,
which fails when another process was first, and renamed where what is there is replaced.
"""

import os
import secrets
import stat
from pathlib import Path

from gateway.errors import ConfigError

_MAX_FILE = 64 * 1024


def write_private(path: Path, data: bytes) -> bool:
    """Create *path* with mode 0600, whole or not at all; False when it was there already."""
    temporary = _synced_beside(path, data)
    try:
        os.link(temporary, path, follow_symlinks=False)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    _sync_directory(path.parent)
    return True


def replace_private(path: Path, data: bytes) -> None:
    """Put *data* in *path* with mode 0600; a reader sees what was there or *data*, never a part."""
    temporary = _synced_beside(path, data)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise
    _sync_directory(path.parent)


def read_private(path: Path) -> bytes:
    """The bytes of a file that nobody else may read; a symlink or a looser mode is refused."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{path} cannot be opened: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ConfigError(f"{path} is not a regular file")
        if about.st_mode & 0o077:
            raise ConfigError(
                f"{path} has mode {stat.S_IMODE(about.st_mode):04o}, so others may read it",
                hint=f"chmod 600 {path}, and make new keys if anybody might have read them",
            )
        if about.st_uid != os.geteuid():
            raise ConfigError(f"{path} belongs to user {about.st_uid}, expected {os.geteuid()}")
        return file.read(_MAX_FILE)


def private_directory(directory: Path) -> None:
    """*directory* with mode 0700, made when missing, refused when looser or a symlink."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = directory.lstat()
    if not stat.S_ISDIR(about.st_mode):
        raise ConfigError(f"{directory} is not a directory")
    if about.st_mode & 0o077:
        raise ConfigError(
            f"{directory} has mode {stat.S_IMODE(about.st_mode):04o}, expected 0700",
            hint=f"chmod 700 {directory}",
        )


def _synced_beside(path: Path, data: bytes) -> Path:
    """A new file beside *path* that holds *data*, on the disk already."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink()
        raise
    return temporary


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
