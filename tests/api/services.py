"""Services that joined, as far as shipping a log needs them: a host certificate, a log, a process."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.address import Address
from gateway.audit import note
from gateway.audit.log_shipper import Pace, Shipper
from gateway.audit.ship import Held, origin_of
from gateway.audit.source import LogSource
from gateway.auth.store import Agent
from gateway.ca.issue import issue_host
from gateway.ca.ring import key_pem
from gateway.cli.client import Api
from gateway.clock import SystemClock
from gateway.services.courier import RemoteCourier
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


@asynccontextmanager
async def courier_of(service: Service) -> AsyncIterator[RemoteCourier]:
    """The way of the service's log."""
    async with service.remote() as remote:
        yield RemoteCourier(remote)


@asynccontextmanager
async def shipper_of(service: Service, *, log: Path | None = None) -> AsyncIterator[Shipper]:
    """A shipper of the log in the service's folder, or of another one under its name."""
    signer = note.verifier(origin_of("test", service.name), log_key(service.log).public_key())
    async with courier_of(service) as courier:
        yield Shipper(LogSource(log or service.log), signer, courier, SystemClock(), pace=Pace(poll=0.01))


async def shipped(service: Service) -> Held:
    """Ship what is signed now."""
    async with shipper_of(service) as shipper:
        return await shipper.once()


def about(local: Api, service: Service) -> list[dict[str, Any]]:
    """What ``audit verify`` says about the service's log, one entry an epoch."""
    name = origin_of("test", service.name)
    return [item for item in local.get("/v1/audit/verify")["origins"] if item["origin"] == name]


def messages(local: Api, service: Service) -> list[str]:
    """What it finds wrong with it."""
    return [found["message"] for item in about(local, service) for found in item["findings"]]
