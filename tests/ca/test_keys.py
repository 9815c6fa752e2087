from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway import files
from gateway.ca import keys, ring
from gateway.ca.profile import Kind
from gateway.ca.ring import FILES, Ring
from gateway.errors import ConfigError
from tests.ca.material import CLUSTER, FakeClock, authorities


def _old_folder(folder: Path, cluster: str = CLUSTER) -> Ring:
    """Keys as version 0.1 kept them."""
    made = keys.make_ring(cluster, FakeClock())
    files.private_directory(folder)
    for kind, series in made.series.items():
        pem = ring.key_pem(series.current.key) + series.current.certificate.public_bytes(Encoding.PEM)
        files.write_private(folder / f"{kind.value}.pem", pem)
    files.write_private(folder / "audit.key", ring.key_pem(made.audit_key))
    files.write_private(folder / "bundle.key", ring.key_pem(made.bundle_key))
    return made


def _load(folder: Path, cluster: str = CLUSTER) -> Ring:
    found = ring.from_folder(folder, cluster)
    assert found is not None
    return found


def test_a_ring_reads_back_what_it_writes() -> None:
    made = keys.make_ring(CLUSTER, FakeClock())
    read = ring.from_bytes(ring.to_bytes(made), CLUSTER, 7)
    assert ring.to_bytes(read) == ring.to_bytes(made)
    assert read.revision == 7


def test_a_ring_without_one_of_its_keys_is_refused() -> None:
    parts = ring.to_bytes(keys.make_ring(CLUSTER, FakeClock()))
    for name in parts:
        with pytest.raises(ConfigError, match=f"the state has no {name} key"):
            ring.from_bytes({other: data for other, data in parts.items() if other != name}, CLUSTER, 1)


def test_the_files_of_version_0_1_are_read(tmp_path: Path) -> None:
    assert ring.from_folder(tmp_path / "keys", CLUSTER) is None
    made = _old_folder(tmp_path / "keys")
    assert ring.to_bytes(_load(tmp_path / "keys")) == ring.to_bytes(made)


@pytest.mark.parametrize("name", FILES)
def test_an_old_file_that_is_missing_or_open_to_others_is_named(tmp_path: Path, name: str) -> None:
    _old_folder(tmp_path / "keys")
    (tmp_path / "keys" / name).chmod(0o640)
    with pytest.raises(ConfigError, match=f"{name} has mode 0640"):
        _load(tmp_path / "keys")
    (tmp_path / "keys" / name).unlink()
    with pytest.raises(ConfigError, match=f"{name} is missing"):
        _load(tmp_path / "keys")


@pytest.mark.parametrize(
    ("name", "content"),
    [("user.pem", b""), ("host.pem", b"nonsense"), ("audit.key", b"-----BEGIN PRIVATE KEY-----")],
)
def test_a_damaged_old_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    _old_folder(tmp_path / "keys")
    (tmp_path / "keys" / name).write_bytes(content)
    with pytest.raises(ConfigError, match=name):
        _load(tmp_path / "keys")


def test_a_certificate_of_another_key_is_refused(tmp_path: Path) -> None:
    found, other = _old_folder(tmp_path / "keys"), keys.make(CLUSTER, FakeClock())
    mixed = ring.key_pem(found.series[Kind.USER].current.key) + other.user.pem.encode()
    (tmp_path / "keys" / "user.pem").write_bytes(mixed)
    with pytest.raises(ConfigError, match="do not belong together"):
        _load(tmp_path / "keys")


def test_an_authority_in_the_place_of_another_is_refused(tmp_path: Path) -> None:
    _old_folder(tmp_path / "keys")
    (tmp_path / "keys" / "db.pem").replace(tmp_path / "keys" / "user.pem")
    with pytest.raises(ConfigError, match="is the db authority"):
        _load(tmp_path / "keys")


def test_the_keys_of_another_cluster_are_refused() -> None:
    parts = ring.to_bytes(keys.make_ring(CLUSTER, FakeClock()))
    with pytest.raises(ConfigError, match="cluster example, expected the user authority of cluster other"):
        ring.from_bytes(parts, "other", 1)


def test_four_authorities_have_four_keys_and_four_key_ids() -> None:
    found = authorities()
    assert len({found.by_kind(kind).key_id for kind in Kind}) == 4
    assert len({keys.ca_pin(found.by_kind(kind).certificate) for kind in Kind}) == 4


def test_a_pin_is_the_digest_of_the_public_key() -> None:
    pin = keys.host_ca_pin(authorities())
    assert pin.startswith("sha256:")
    assert len(bytes.fromhex(pin.removeprefix("sha256:"))) == 32


@pytest.mark.parametrize("cluster", ["", "a b", "a/b", "-a", "ä", "x" * 64, "a\n"])
def test_a_cluster_name_that_does_not_fit_into_a_uri_is_refused(cluster: str) -> None:
    with pytest.raises(ConfigError, match="cluster name"):
        keys.make(cluster, FakeClock())


def test_keys_are_not_shown() -> None:
    made = keys.make_ring(CLUSTER, FakeClock())
    assert "PrivateKey" not in repr(made)
    assert "PrivateKey" not in repr(keys.Authorities(CLUSTER, made))


def test_an_authority_may_sign_leaves_and_nothing_else() -> None:
    for kind in Kind:
        extensions = authorities().by_kind(kind).certificate.extensions
        basic = extensions.get_extension_for_class(x509.BasicConstraints)
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        assert basic.critical
        assert (basic.value.ca, basic.value.path_length) == (True, 0)
        assert (usage.key_cert_sign, usage.digital_signature) == (True, False)


def test_newer_keys_take_the_place_of_older_ones_and_never_the_other_way_round() -> None:
    parts = ring.to_bytes(keys.make_ring(CLUSTER, FakeClock()))
    found = keys.Authorities(CLUSTER, ring.from_bytes(parts, CLUSTER, 3))
    told: list[int] = []
    found.on_change(lambda: told.append(found.revision))
    newer = ring.from_bytes(ring.to_bytes(keys.make_ring(CLUSTER, FakeClock())), CLUSTER, 4)
    found.take(newer)
    assert found.user is newer.series[Kind.USER].current
    found.take(ring.from_bytes(parts, CLUSTER, 3))
    assert found.user is newer.series[Kind.USER].current
    assert told == [4]
