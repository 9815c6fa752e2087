"""An OPA that somebody else runs, a real one: when it counts as ready, and when it does not any more."""

import asyncio
import os
import secrets
import signal
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.clock import SystemClock
from gateway.errors import ConfigError, PolicyError
from gateway.model.decision import Allowed, Denied
from gateway.policy import client_endpoint
from gateway.policy.publish import Bundle
from gateway.policy.sidecar.remote import WATCH_SECONDS, Remote
from tests.e2e.cluster import is_alive
from tests.policy import documents
from tests.servers import certificates, process
from tests.servers.process import LOOPBACK, Server, free_port

pytestmark = pytest.mark.opa

TOKEN = secrets.token_hex(32)


@dataclass
class Operator:
    """Somebody who runs an OPA with the files that Regate wrote."""

    opa: Path
    bundle: Bundle
    folder: Path
    address: str
    listen: str
    more: tuple[str, ...] = ()
    servers: list[Server] = field(default_factory=list)

    def start(self) -> Server:
        authorization = self.bundle.path.with_name("authz.tar.gz")
        server = process.start(
            "opa",
            [
                *(self.opa, "run", "--server", "--addr", self.listen, "--skip-version-check"),
                *("--authentication", "token", "--authorization", "basic"),
                *("--bundle", self.bundle.path, "--bundle", authorization),
                *("--verification-key", self.bundle.verification_key, "--signing-alg", "ES256"),
                *("--log-level", "error", *self.more),
            ],
            log=self.folder / "opa.log",
            directory=self.folder,
            environment={"HOME": str(self.folder), "PATH": os.environ["PATH"]},
            as_unprivileged=False,
        )
        self.servers.append(server)
        return server


def operator_of(
    kind: str, opa: Path, bundle: Bundle, folder: Path, authority: certificates.Authority
) -> Operator:
    if kind == "unix":
        return Operator(opa, bundle, folder, f"unix:{folder}/opa.sock", f"unix://{folder}/opa.sock")
    port = free_port()
    if kind == "http":
        return Operator(opa, bundle, folder, f"http://{LOOPBACK}:{port}", f"{LOOPBACK}:{port}")
    files = authority.server()
    tls = ("--tls-cert-file", str(files.certificate), "--tls-private-key-file", str(files.key))
    return Operator(opa, bundle, folder, f"https://localhost:{port}", f"{LOOPBACK}:{port}", tls)


@contextmanager
def operating(kind: str, opa: Path, bundle: Bundle, authority: certificates.Authority) -> Iterator[Operator]:
    with process.temporary_folder("regate-opa-") as folder:
        operator = operator_of(kind, opa, bundle, folder, authority)
        try:
            yield operator
        finally:
            for server in operator.servers:
                server.stop()


@asynccontextmanager
async def entered(
    operator: Operator,
    key: ec.EllipticCurvePrivateKey,
    authority: certificates.Authority,
    *,
    token: str = TOKEN,
    said: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[Remote]:
    """Regate, started before the operator's OPA as likely as after it."""
    ca = authority.server().ca if operator.address.startswith("https") else None
    remote = Remote(
        endpoint=client_endpoint.parse(operator.address, ca),
        token=token,
        opa=operator.opa,
        bundle=operator.bundle,
        key=key,
        clock=SystemClock(),
        say=said,
    )
    async with asyncio.TaskGroup() as tasks:
        entering = tasks.create_task(remote.__aenter__())
        while not operator.bundle.path.with_name("authz.tar.gz").exists():  # noqa: ASYNC110 # a file tells nobody
            await asyncio.sleep(0.02)
        if not operator.servers:
            await asyncio.to_thread(operator.start)
        await asyncio.wait_for(entering, 60)
    try:
        yield remote
    finally:
        await remote.__aexit__(None, None, None)


async def ready(remote: Remote, *, up: bool) -> None:
    deadline = time.monotonic() + 30
    while remote.ready is not up:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def never_entered(remote: AbstractAsyncContextManager[Remote], said: list[str]) -> None:
    """It says what it waits for, and then asks twice more without another word."""
    entering = asyncio.create_task(remote.__aenter__())
    async with asyncio.timeout(60):
        while not said:  # noqa: ASYNC110 # it has no event to wait for
            await asyncio.sleep(0.05)
    await asyncio.sleep(2.5 * WATCH_SECONDS)
    assert not entering.done()
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering


async def code(remote: Remote) -> str:
    match await remote.client.connect(documents.connect("alice", "db-access")):
        case Allowed():
            return "allowed"
        case Denied() as denial:
            return denial.code


@pytest.fixture
def own_bundle(bundle: Bundle, tmp_path: Path) -> Bundle:
    """The bundle in a folder of this test's: another's authorization lies beside another's."""
    copy = tmp_path / "gateway.tar.gz"
    copy.write_bytes(bundle.path.read_bytes())
    return replace(bundle, path=copy)


@pytest.mark.parametrize("kind", ["unix", "http", "https"])
async def test_it_decides_once_it_has_bundle_and_data(
    kind: str,
    opa: Path,
    own_bundle: Bundle,
    bundle_key: ec.EllipticCurvePrivateKey,
    authority: certificates.Authority,
) -> None:
    with operating(kind, opa, own_bundle, authority) as operator:
        async with entered(operator, bundle_key, authority) as remote:
            assert not remote.ready
            assert await code(remote) == "policy_unavailable"
            await remote.push(documents.data(), documents.REVISION)
            assert await code(remote) == "allowed"
            await remote.push(documents.data((documents.lock(user="alice"),), 8), 8)
            assert await code(remote) == "locked"
        assert is_alive(operator.servers[0].pid)


async def test_one_that_is_restarted_is_given_its_data_again(
    opa: Path, own_bundle: Bundle, bundle_key: ec.EllipticCurvePrivateKey, authority: certificates.Authority
) -> None:
    with operating("unix", opa, own_bundle, authority) as operator:
        async with entered(operator, bundle_key, authority) as remote:
            await remote.push(documents.data(), documents.REVISION)
            os.kill(operator.servers[0].pid, signal.SIGKILL)
            await ready(remote, up=False)
            assert await code(remote) == "policy_unavailable"
            await asyncio.to_thread(operator.start)
            await ready(remote, up=True)
            assert await code(remote) == "allowed"


async def test_one_with_another_bundle_never_decides(
    opa: Path, own_bundle: Bundle, bundle_key: ec.EllipticCurvePrivateKey, authority: certificates.Authority
) -> None:
    said: list[str] = []
    with operating("unix", opa, own_bundle, authority) as operator:
        async with entered(operator, bundle_key, authority):
            pass
        newer = replace(operator, bundle=replace(own_bundle, revision="999-another", number=999))
        await never_entered(entered(newer, bundle_key, authority, said=said.append), said)
    held = f"it holds the bundle {own_bundle.revision}, not 999-another"
    assert said == [f"waiting for the OPA at {operator.folder}/opa.sock: {held}"]


async def test_the_wrong_token_pushes_nothing(
    opa: Path, own_bundle: Bundle, bundle_key: ec.EllipticCurvePrivateKey, authority: certificates.Authority
) -> None:
    with operating("unix", opa, own_bundle, authority) as operator:
        async with entered(operator, bundle_key, authority):
            pass
        async with entered(operator, bundle_key, authority, token="x" * 32) as remote:
            with pytest.raises(PolicyError):
                await remote.push(documents.data(), documents.REVISION)
            assert await code(remote) == "policy_unavailable"


async def test_one_whose_certificate_is_not_known_is_not_asked(
    opa: Path, own_bundle: Bundle, bundle_key: ec.EllipticCurvePrivateKey, authority: certificates.Authority
) -> None:
    said: list[str] = []
    with operating("https", opa, own_bundle, authority) as operator:
        async with entered(operator, bundle_key, authority):
            pass
        stranger = Remote(
            endpoint=client_endpoint.parse(operator.address),
            token=TOKEN,
            opa=opa,
            bundle=own_bundle,
            key=bundle_key,
            clock=SystemClock(),
            say=said.append,
        )
        await never_entered(stranger, said)
    assert said == [f"waiting for the OPA at {operator.address}: the policy engine is not available"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "opa",
        "unix:",
        "unix:opa.sock",
        "http://opa.example.com:8181",
        "http://10.0.0.1",
        "ftp://x",
        "https://",
        "https://a:b@x",
        "https://x/v1",
        "https://x?y",
        "https://x:port",
        "http://127.0.0.1.example.com",
        "http://127.1",
        "http://0.0.0.0",
    ],
)
def test_an_address_that_shows_the_token_or_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        client_endpoint.parse(text)


def test_addresses_read_as_they_are_written() -> None:
    assert client_endpoint.parse("unix:/run/opa.sock") == client_endpoint.Endpoint("/run/opa.sock")
    assert client_endpoint.parse("unix:///run/opa.sock") == client_endpoint.Endpoint("/run/opa.sock")
    assert client_endpoint.parse("http://[::1]:81").url == "http://[::1]:81"
    found = client_endpoint.parse("https://opa.example.com")
    assert found.url == "https://opa.example.com:443"
    assert found.tls is not None
    assert (found.tls.verify_mode, found.tls.check_hostname) == (ssl.CERT_REQUIRED, True)
