"""The cluster's keys in the state: the same on every node, and worth nothing without the sealing key."""

import asyncio
from pathlib import Path

import pytest

from gateway import files
from gateway.auth.keyring import Keyring
from gateway.auth.store import Store
from gateway.ca import keys, ring, seal
from gateway.ca.profile import Kind
from gateway.errors import ConfigError
from tests.auth.states import url as url  # noqa: PLC0414 # a fixture
from tests.ca.material import CLUSTER, FakeClock


async def _open(store: Store, node: Path, key: Path | None = None, cluster: str = CLUSTER) -> Keyring:
    sealing = key or node / "keys" / "state.key"
    return await Keyring.open(
        store, sealing_key=sealing, folder=node / "keys", cluster=cluster, clock=FakeClock()
    )


def _pems(keyring: Keyring) -> list[str]:
    return [keyring.authorities.trusted_pem(kind) for kind in Kind]


async def test_the_second_start_finds_the_keys_of_the_first(url: str, tmp_path: Path) -> None:
    async with await Store.open(url) as store:
        first = await _open(store, tmp_path)
    async with await Store.open(url) as store:
        second = await _open(store, tmp_path)
    assert _pems(first) == _pems(second)
    assert ring.key_pem(first.authorities.audit_key) == ring.key_pem(second.authorities.audit_key)
    assert ring.key_pem(first.authorities.bundle_key) == ring.key_pem(second.authorities.bundle_key)


async def test_nodes_that_start_at_once_agree_on_one_set_of_keys(url: str, tmp_path: Path) -> None:
    key = tmp_path / "shared.key"
    stores = [await Store.open(url) for _ in range(4)]
    found = await asyncio.gather(
        *(_open(store, tmp_path / f"node{n}", key) for n, store in enumerate(stores))
    )
    for store in stores:
        await store.close()
    assert len({tuple(_pems(keyring)) for keyring in found}) == 1


async def test_a_node_without_the_sealing_key_does_not_start(url: str, tmp_path: Path) -> None:
    async with await Store.open(url) as store:
        await _open(store, tmp_path / "first")
        with pytest.raises(ConfigError, match=r"state\.key, which opens them, is missing"):
            await _open(store, tmp_path / "second")
        assert not (tmp_path / "second").exists(), "a key of its own would hide that the right one is missing"
        wrong = seal.read_or_create(tmp_path / "wrong.key")
        with pytest.raises(ConfigError, match=f"this node has key {wrong.name}"):
            await _open(store, tmp_path / "second", tmp_path / "wrong.key")


async def test_no_private_key_can_be_read_in_the_state(url: str, tmp_path: Path) -> None:
    async with await Store.open(url) as store:
        keyring = await _open(store, tmp_path)
        sealed, _ = await store.sealed()
        assert sorted(sealed) == sorted([*Kind, ring.AUDIT, ring.BUNDLE])
        for body in sealed.values():
            assert "PRIVATE" not in body
            assert body.startswith(f"v1.{seal.read_or_create(tmp_path / 'keys' / 'state.key').name}.")
        assert keyring.authorities.revision == len(sealed)


async def test_keys_that_were_exchanged_in_the_state_are_refused(url: str, tmp_path: Path) -> None:
    async with await Store.open(url) as store:
        await _open(store, tmp_path)
        async with store.change() as change:
            sealed = await change.sealed()
            await change.put_sealed("host", sealed["user"])
        with pytest.raises(ConfigError, match="host in the state was changed"):
            await _open(store, tmp_path)


async def test_the_state_of_another_cluster_is_refused(url: str, tmp_path: Path) -> None:
    async with await Store.open(url) as store:
        await _open(store, tmp_path)
        with pytest.raises(ConfigError, match="of cluster example, expected the user authority of cluster b"):
            await _open(store, tmp_path, cluster="b")


async def test_the_files_of_version_0_1_move_into_the_state(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    files.private_directory(folder)
    made = keys.make_ring(CLUSTER, FakeClock())
    for kind, series in made.series.items():
        pem = ring.key_pem(series.current.key) + series.current.pem.encode()
        files.write_private(folder / f"{kind.value}.pem", pem)
    files.write_private(folder / "audit.key", ring.key_pem(made.audit_key))
    files.write_private(folder / "bundle.key", ring.key_pem(made.bundle_key))
    async with await Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store:
        found = await _open(store, tmp_path)
    assert _pems(found) == [made.series[kind].current.pem for kind in Kind]
    assert ring.key_pem(found.authorities.audit_key) == ring.key_pem(made.audit_key)
    assert [path.name for path in folder.iterdir()] == ["state.key"], "what lies in the clear is gone"


async def test_old_files_that_cannot_all_be_read_stay_where_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    files.private_directory(folder)
    files.write_private(folder / "user.pem", b"nonsense")
    async with await Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store:
        with pytest.raises(ConfigError, match=r"user\.pem"):
            await _open(store, tmp_path)
        assert await store.sealed() == ({}, 0)
    assert [path.name for path in folder.iterdir()] == ["user.pem"]
