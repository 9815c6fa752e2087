"""Files and folders that belong to one person: 0600 in 0700, no symlinks, replaced whole or not at all."""

import os
import shutil
import stat
from pathlib import Path

from gateway.errors import ConfigError
from gateway.files import replace_private


def folder(path: Path) -> Path:
    """*path* as a folder that only its owner reaches; made when missing, refused when looser or a symlink."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise ConfigError(f"{path} is not a folder") from None
    except OSError as error:
        raise ConfigError(f"cannot make {path}: {os.strerror(error.errno or 0)}") from error
    _check(path, path.lstat(), wanted=0o700)
    return path


def check_folder(path: Path) -> bool:
    """True when *path* is there and as it must be, False when it is missing; anything else is refused."""
    try:
        about = path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigError(f"cannot look at {path}: {os.strerror(error.errno or 0)}") from error
    _check(path, about, wanted=0o700)
    return True


def read(path: Path) -> bytes:
    """The bytes of a file with mode 0600 or stricter; FileNotFoundError when there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        if path.is_symlink():
            raise ConfigError(f"{path} is a symlink, expected a file", hint=f"rm {path}") from error
        raise ConfigError(f"cannot read {path}: {os.strerror(error.errno or 0)}") from error
    with os.fdopen(descriptor, "rb") as file:
        _check(path, os.fstat(file.fileno()), wanted=0o600)
        return file.read()


def write(path: Path, data: bytes) -> None:
    """Put *data* in *path* with mode 0600; a reader sees the old file or the new one, never a part."""
    try:
        replace_private(path, data)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {os.strerror(error.errno or 0)}") from error


def remove(path: Path) -> None:
    """Remove a file or a whole folder, if it is there; a symlink goes, what it points to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _check(path: Path, about: os.stat_result, *, wanted: int) -> None:
    is_right_kind = stat.S_ISDIR(about.st_mode) if wanted == 0o700 else stat.S_ISREG(about.st_mode)
    if not is_right_kind:
        what = "a folder" if wanted == 0o700 else "a file"
        kind = "a symlink" if stat.S_ISLNK(about.st_mode) else "something else"
        raise ConfigError(f"{path} is {kind}, expected {what}")
    if about.st_uid != os.geteuid():
        raise ConfigError(f"{path} belongs to user {about.st_uid}, expected {os.geteuid()}")
    if about.st_mode & 0o077:
        raise ConfigError(
            f"{path} has mode {stat.S_IMODE(about.st_mode):04o}, expected {wanted:04o} or stricter",
            hint=f"chmod {wanted:o} {path}, and log in again if others might have read it",
        )
