import os
import stat
from pathlib import Path

import pytest

from gateway import files
from gateway.errors import ConfigError


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.write_private(tmp_path / "missing" / "key", b"x")
    assert files.write_private(tmp_path / "key", b"first") is True
    assert files.write_private(tmp_path / "key", b"second") is False
    assert (tmp_path / "key").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    files.replace_private(tmp_path / "key", b"first")
    files.replace_private(tmp_path / "key", b"second")
    assert files.read_private(tmp_path / "key") == b"second"
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        files.replace_private(tmp_path / "folder", b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "key"]


def test_files_are_private_whatever_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files.private_directory(tmp_path / "keys")
        files.write_private(tmp_path / "keys" / "key", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "keys" / "key").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    files.write_private(tmp_path / "key", b"x")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(ConfigError, match=f"key has mode {mode:04o}"):
        files.read_private(tmp_path / "key")


def test_a_link_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    files.write_private(tmp_path / "elsewhere", b"x")
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="cannot be opened"):
        files.read_private(tmp_path / "key")


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir(mode=0o750)
    with pytest.raises(ConfigError, match="expected 0700"):
        files.private_directory(tmp_path / "keys")


def test_a_link_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "keys").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError, match="not a directory"):
        files.private_directory(tmp_path / "keys")
