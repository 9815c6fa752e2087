"""The API that these tests talk to; one for all of them, because each makes users and names of its own."""

from collections.abc import Iterator

import pytest

from gateway.cli import trust
from gateway.cli.client import Api, PublicEndpoint, SocketEndpoint
from tests.api.rig import Rig, running
from tests.servers.process import temporary_folder


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with temporary_folder("regate-api-") as folder, running(folder) as found:
        yield found


@pytest.fixture
def local(rig: Rig) -> Api:
    """The administrator on the host."""
    return Api(SocketEndpoint(rig.socket))


@pytest.fixture
def stranger(rig: Rig) -> Api:
    """Somebody who knows the cluster's authority and has no login."""
    return Api(PublicEndpoint(rig.proxy, trust.Trust(rig.host_ca)))
