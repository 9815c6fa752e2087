"""The cluster's keys in the state: made or taken over at the first start, read again whenever they change.

They are sealed with a key that each node has in a file of its own (``gateway.ca.seal``). A node whose file is
missing, or holds another key, refuses to start: keys made anew would be another cluster's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from gateway.auth.store import Change, Store
from gateway.ca import keys, ring, seal
from gateway.ca.keys import Authorities
from gateway.ca.profile import Kind
from gateway.ca.ring import Ring
from gateway.ca.rotation import Series
from gateway.ca.seal import SealingKey
from gateway.clock import Clock
from gateway.errors import ConfigError


class Keyring:
    """Carries the keys between the state and ``authorities``, which everybody else uses."""

    def __init__(self, store: Store, key: SealingKey, authorities: Authorities) -> None:
        self._store = store
        self._key = key
        self.authorities = authorities

    @classmethod
    async def open(cls, store: Store, *, sealing_key: Path, folder: Path, cluster: str, clock: Clock) -> Self:
        """The keys in *store*; when it has none, those of version 0.1 in *folder*, or new ones, move in."""
        keys.check_cluster(cluster)
        sealed, revision = await store.sealed()
        if not sealed:
            await _first(store, sealing_key, folder, cluster, clock)
            sealed, revision = await store.sealed()
        key = seal.read(sealing_key)
        if key is None:
            raise ConfigError(
                f"the cluster's keys are in the state, and {sealing_key}, which opens them, is missing",
                hint="copy it from a node that works, or name it in auth_service.storage.key_file",
            )
        found = _unsealed(key, sealed, cluster, revision)
        _remove_old_files(folder)
        return cls(store, key, Authorities(cluster, found))

    async def refresh(self) -> None:
        """Take up what the state holds now."""
        sealed, revision = await self._store.sealed()
        self.authorities.take(_unsealed(self._key, sealed, self.authorities.cluster, revision))

    async def series(self, change: Change, kind: Kind) -> Series:
        """One kind of authority, as of *change*."""
        body = self._key.unseal(kind.value, (await change.sealed())[kind.value])
        return ring.series_from_bytes(body, kind, self.authorities.cluster)

    async def put(self, change: Change, series: Series) -> None:
        """Keep it; ``refresh`` shows it to this process once the change is done."""
        name = series.kind.value
        await change.put_sealed(name, self._key.seal(name, ring.series_to_bytes(series)))


async def _first(store: Store, sealing_key: Path, folder: Path, cluster: str, clock: Clock) -> None:
    """Put the first keys in; of several nodes that start at once, one does."""
    async with store.change() as change:
        if await change.sealed():
            return
        made = ring.from_folder(folder, cluster) or keys.make_ring(cluster, clock)
        key = seal.read_or_create(sealing_key)
        for name, data in ring.to_bytes(made).items():
            await change.put_sealed(name, key.seal(name, data))


def _unsealed(key: SealingKey, sealed: Mapping[str, str], cluster: str, revision: int) -> Ring:
    parts = {name: key.unseal(name, body) for name, body in sealed.items()}
    return ring.from_bytes(parts, cluster, revision)


def _remove_old_files(folder: Path) -> None:
    """What was moved into the state must not lie about in the clear."""
    for name in ring.FILES:
        (folder / name).unlink(missing_ok=True)
