import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.ca import seal
from gateway.ca.seal import SealingKey
from gateway.errors import ConfigError

KEY = SealingKey(bytes(range(32)))


def test_what_was_sealed_is_opened_again() -> None:
    assert KEY.unseal("user", KEY.seal("user", b"secret")) == b"secret"
    assert b"secret" not in base64.b64decode(KEY.seal("user", b"secret").rpartition(".")[2])


def test_no_two_texts_are_the_same() -> None:
    assert KEY.seal("user", b"secret") != KEY.seal("user", b"secret")


def test_each_changed_byte_is_noticed() -> None:
    head, _, body = KEY.seal("user", b"secret").rpartition(".")
    data = base64.b64decode(body)
    for index in range(len(data)):
        changed = bytearray(data)
        changed[index] ^= 1
        with pytest.raises(ConfigError, match="was changed"):
            KEY.unseal("user", f"{head}.{base64.b64encode(changed).decode()}")


def test_a_text_is_not_opened_in_the_place_of_another() -> None:
    with pytest.raises(ConfigError, match="host in the state was changed"):
        KEY.unseal("host", KEY.seal("user", b"secret"))


def test_another_key_is_told_apart_by_its_name() -> None:
    other = SealingKey(bytes(32))
    with pytest.raises(ConfigError, match=f"sealed with key {KEY.name}, this node has key {other.name}"):
        other.unseal("user", KEY.seal("user", b"secret"))


@pytest.mark.parametrize("text", ["", "v1", "v1..", "v2.00.AA", f"v1.{KEY.name}.", f"v1.{KEY.name}.?"])
def test_what_is_no_sealed_text_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        KEY.unseal("user", text)


def test_the_file_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "state.key"
    before = os.umask(0)
    try:
        assert seal.read(path) is None
        with ThreadPoolExecutor(8) as pool:
            names = set(pool.map(lambda _: seal.read_or_create(path).name, range(8)))
    finally:
        os.umask(before)
    assert len(names) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert seal.read(path) == seal.read_or_create(path)


@pytest.mark.parametrize("content", [b"", b"short", base64.b64encode(bytes(31)), b"\xff" * 44])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.key").touch(mode=0o600)
    (tmp_path / "state.key").write_bytes(content)
    with pytest.raises(ConfigError, match=r"state\.key does not hold a sealing key"):
        seal.read(tmp_path / "state.key")


def test_the_key_is_not_shown() -> None:
    assert KEY.secret.hex() not in repr(KEY)
    assert str(KEY.secret) not in repr(KEY)
