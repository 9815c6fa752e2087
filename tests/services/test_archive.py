"""The file that a backup is: what goes in comes out, and nothing else is taken for one."""

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pyrage
import pytest

from gateway.auth.store.dump import Dump
from gateway.errors import ConfigError
from gateway.services.archive import FORM, KEY, MANIFEST, STATE, Backup, Manifest, seal, unseal

PASSPHRASE = "seven horses and a battery"
BACKUP = Backup(
    Manifest("e2e", "2026-01-31T12:00:00+00:00", "1", "e2e/audit", "", 41, 3),
    Dump("0004", {"counters": [{"name": "data_revision", "value": 41}], "sealed": []}),
    b"key\n",
)
STATE_JSON = {"version": "0004", "tables": {}}
MANIFEST_JSON = {"form": FORM, **asdict(BACKUP.manifest)}


def test_what_goes_in_comes_out_and_only_whole() -> None:
    data = seal(BACKUP, PASSPHRASE)
    assert unseal(data, PASSPHRASE, "x") == BACKUP
    assert BACKUP.state.revisions == {"data_revision": 41}
    flipped = bytearray(data)
    flipped[-40] ^= 1
    for spoilt in (bytes(flipped), data[:-1], data[: len(data) // 2]):
        with pytest.raises(ConfigError, match="x does not open"):
            unseal(spoilt, PASSPHRASE, "x")
    for other in (b"", b"hello", data[1:]):
        with pytest.raises(ConfigError, match="x is not a backup: it is no age file"):
            unseal(other, PASSPHRASE, "x")


def tar(members: Mapping[str, Any], *, twice: bool = False, kind: bytes = tarfile.REGTYPE) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, value in [*members.items(), *(members.items() if twice else ())]:
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(data), kind, "/etc/passwd"
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


GOOD = {MANIFEST: MANIFEST_JSON, STATE: STATE_JSON, KEY: b"key\n"}
STRANGE = {
    "no archive": b"hello",
    "nothing": b"",
    "one member": tar({STATE: STATE_JSON}),
    "a member too many": tar({**GOOD, "../etc/cron.d/x": b""}),
    "each twice": tar(GOOD, twice=True),
    "links": tar(GOOD, kind=tarfile.SYMTYPE),
    "no json": tar({**GOOD, STATE: b"{"}),
    "another form": tar({**GOOD, MANIFEST: {**MANIFEST_JSON, "form": 2}}),
    "a field too many": tar({**GOOD, MANIFEST: {**MANIFEST_JSON, "more": 1}}),
    "a field of another type": tar({**GOOD, MANIFEST: {**MANIFEST_JSON, "bundle": "1"}}),
    "a list": tar({**GOOD, MANIFEST: []}),
    "tables that are none": tar({**GOOD, STATE: {"version": "1", "tables": {"x": [1]}}}),
}


@pytest.mark.parametrize("what", STRANGE)
def test_what_the_passphrase_opens_is_still_read_strictly(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyrage.passphrase, "decrypt", lambda data, _: data.partition(b"\n")[2])
    opened = b"age-encryption.org/v1\n"
    assert unseal(opened + tar(GOOD), PASSPHRASE, "x").sealing_key == b"key\n"
    with pytest.raises(ConfigError, match="x is not a backup of regate"):
        unseal(opened + STRANGE[what], PASSPHRASE, "x")
