"""How full a disk is said to be: of the room that this user has, as df counts it."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.audit.files import SystemFiles


@pytest.mark.parametrize(
    ("free", "available", "percent"),
    [(79, 79, 21), (79, 20, 52), (10, 10, 90), (9, 0, 100)],
    ids=["as it is", "most is kept back", "nearly full", "only root has room"],
)
def test_what_is_kept_back_from_users_is_no_room_and_nobody_s_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, available: int, percent: int
) -> None:
    def statvfs(path: Path) -> SimpleNamespace:
        return SimpleNamespace(f_blocks=100, f_bfree=free, f_bavail=available)

    monkeypatch.setattr(os, "statvfs", statvfs)
    assert SystemFiles().used(tmp_path) == percent


def test_the_doctor_says_what_the_log_s_own_alarm_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from gateway.cli.checks import host  # noqa: PLC0415

    monkeypatch.setattr(SystemFiles, "used", lambda *_: 90)
    assert [str(check.verdict.value) for check in host._disk(tmp_path)] == ["bad"]
    monkeypatch.setattr(SystemFiles, "used", lambda *_: 89)
    assert [str(check.verdict.value) for check in host._disk(tmp_path)] == ["ok"]
