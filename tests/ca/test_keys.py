import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.ca import keys
from gateway.ca.profile import Kind
from gateway.errors import ConfigError
from tests.ca.material import CLUSTER, FakeClock

FILES = ("user.pem", "host.pem", "db.pem", "db-client.pem", "audit.key", "bundle.key")


def _load(folder: Path, cluster: str = CLUSTER) -> keys.Authorities:
    return keys.load_or_create(folder, cluster, FakeClock())


def _certificates(found: keys.Authorities) -> list[bytes]:
    return [found.by_kind(kind).certificate.public_bytes(Encoding.DER) for kind in Kind]


def test_the_second_start_finds_the_keys_of_the_first(tmp_path: Path) -> None:
    first, second = _load(tmp_path / "keys"), _load(tmp_path / "keys")
    assert _certificates(first) == _certificates(second)
    assert keys.host_ca_pin(first) == keys.host_ca_pin(second)
    assert first.audit_key.private_bytes_raw() == second.audit_key.private_bytes_raw()


def test_four_authorities_have_four_keys_and_four_key_ids(tmp_path: Path) -> None:
    found = _load(tmp_path / "keys")
    assert len({found.by_kind(kind).key_id for kind in Kind}) == 4
    assert len({keys.ca_pin(found.by_kind(kind).certificate) for kind in Kind}) == 4


def test_a_pin_is_the_digest_of_the_public_key(tmp_path: Path) -> None:
    pin = keys.host_ca_pin(_load(tmp_path / "keys"))
    assert pin.startswith("sha256:")
    assert len(bytes.fromhex(pin.removeprefix("sha256:"))) == 32


def test_keys_are_private_whatever_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        _load(tmp_path / "keys")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == sorted(FILES)
    for path in (tmp_path / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    _load(tmp_path / "keys")
    (tmp_path / "keys" / name).chmod(mode)
    with pytest.raises(ConfigError, match=f"{name} has mode {mode:04o}"):
        _load(tmp_path / "keys")


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    _load(tmp_path / "keys")
    (tmp_path / "keys").chmod(0o750)
    with pytest.raises(ConfigError, match="expected 0700"):
        _load(tmp_path / "keys")


def test_a_link_in_the_place_of_a_key_is_refused(tmp_path: Path) -> None:
    _load(tmp_path / "keys")
    (tmp_path / "keys" / "user.pem").rename(tmp_path / "elsewhere.pem")
    (tmp_path / "keys" / "user.pem").symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(ConfigError, match="cannot be opened"):
        _load(tmp_path / "keys")


def test_a_link_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    _load(tmp_path / "real")
    (tmp_path / "keys").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError, match="not a directory"):
        _load(tmp_path / "keys")


@pytest.mark.parametrize(
    ("name", "content"),
    [("user.pem", b""), ("host.pem", b"nonsense"), ("audit.key", b"-----BEGIN PRIVATE KEY-----")],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    _load(tmp_path / "keys")
    (tmp_path / "keys" / name).write_bytes(content)
    with pytest.raises(ConfigError, match=name):
        _load(tmp_path / "keys")


def test_a_certificate_of_another_key_is_refused(tmp_path: Path) -> None:
    found, other = _load(tmp_path / "keys"), _load(tmp_path / "other")
    mixed = keys.key_pem(found.user.key) + other.user.certificate.public_bytes(Encoding.PEM)
    (tmp_path / "keys" / "user.pem").write_bytes(mixed)
    with pytest.raises(ConfigError, match="do not belong together"):
        _load(tmp_path / "keys")


def test_an_authority_in_the_place_of_another_is_refused(tmp_path: Path) -> None:
    _load(tmp_path / "keys")
    (tmp_path / "keys" / "db.pem").rename(tmp_path / "keys" / "user.pem")
    with pytest.raises(ConfigError, match="is the db authority"):
        _load(tmp_path / "keys")


def test_the_keys_of_another_cluster_are_refused(tmp_path: Path) -> None:
    _load(tmp_path / "keys")
    with pytest.raises(ConfigError, match="cluster example, expected the user authority of cluster other"):
        _load(tmp_path / "keys", "other")


@pytest.mark.parametrize("cluster", ["", "a b", "a/b", "-a", "ä", "x" * 64, "a\n"])
def test_a_cluster_name_that_does_not_fit_into_a_uri_is_refused(tmp_path: Path, cluster: str) -> None:
    with pytest.raises(ConfigError, match="cluster name"):
        _load(tmp_path / "keys", cluster)


def test_two_starts_at_once_agree_on_one_set_of_keys(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: _load(tmp_path / "keys"), range(8)))
    assert len({tuple(_certificates(item)) for item in found}) == 1
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == sorted(FILES)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        keys.write_private(tmp_path / "missing" / "key", b"x")
    assert keys.write_private(tmp_path / "key", b"first") is True
    assert keys.write_private(tmp_path / "key", b"second") is False
    assert (tmp_path / "key").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_keys_are_not_shown(tmp_path: Path) -> None:
    assert "PrivateKey" not in repr(_load(tmp_path / "keys"))


def test_an_authority_may_sign_leaves_and_nothing_else(tmp_path: Path) -> None:
    for kind in Kind:
        extensions = _load(tmp_path / "keys").by_kind(kind).certificate.extensions
        basic = extensions.get_extension_for_class(x509.BasicConstraints)
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        assert basic.critical
        assert (basic.value.ca, basic.value.path_length) == (True, 0)
        assert (usage.key_cert_sign, usage.digital_signature) == (True, False)
