"""Services that joined, as far as shipping a log needs them: a host certificate, a log, a process."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.address import Address
from gateway.auth.store import Agent
from gateway.ca.issue import issue_host
from gateway.ca.ring import key_pem
from gateway.tunnel.credentials import Credentials
from gateway.tunnel.remote import Remote
from tests.api.rig import Rig

ROOT = Path(__file__).resolve().parents[2]


def log_key(directory: Path) -> Ed25519PrivateKey:
    """The key that signs the log in *directory*, kept beside it; made when missing."""
    path = directory.with_suffix(".key")
    if not path.exists():
        path.write_bytes(key_pem(Ed25519PrivateKey.generate()))
    found = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(found, Ed25519PrivateKey)
    return found


@dataclass(frozen=True, slots=True)
class Service:
    """A service's own folder: its certificate, and its log on a disk that may be wiped."""

    name: str
    folder: Path
    port: int

    @property
    def log(self) -> Path:
        return self.folder / "disk" / "audit"

    def remote(self) -> Remote:
        """The way to the auth service, with the certificate in the folder."""
        credentials = Credentials.load(self.folder)
        assert credentials is not None
        return Remote(Address("localhost", self.port), credentials)

    @contextmanager
    def running(self, rate: float = 50) -> Iterator[subprocess.Popen[str]]:
        """The process, killed as by a power cut when the block ends."""
        self.log.parent.mkdir(exist_ok=True)
        command = [self.log, self.port, self.folder, self.name, rate]
        with (self.folder / "said").open("a") as said:
            child = subprocess.Popen(
                [sys.executable, "-m", "tests.api.ship_child", *map(str, command)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n", (self.folder / "said").read_text()
            yield child
        finally:
            child.kill()
            child.communicate(timeout=10)


def enrolled(rig: Rig, folder: Path, name: str, *, service: str = "db") -> Service:
    """What joining leaves on the service's host."""
    folder.mkdir(mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    made = issue_host(
        rig.authorities.host,
        names=[name],
        public_key=key.public_key(),
        ttl=timedelta(hours=1),
        now=datetime.now(UTC),
        service=service,
    )
    pem = key_pem(key).decode()
    Credentials(name, "test", pem, made.pem, rig.host_ca, "", "").save(folder)
    rig.wait(lambda: _keep(rig, name, service or "db"))
    return Service(name, folder, rig.port)


async def _keep(rig: Rig, name: str, service: str) -> None:
    async with rig.store.change() as change:
        await change.agents.add(Agent(name, service, "", "test", "{}", (), 0, 0))
