"""A real MariaDB that the tests of this folder share."""

from collections.abc import Iterator

import pytest

from tests.servers import certificates, mariadb


@pytest.fixture(scope="session")
def server(authority: certificates.Authority) -> Iterator[mariadb.Mariadb]:
    """A server with nothing in it."""
    files = authority.server()
    with mariadb.running(certificate=files.certificate, key=files.key, client_ca=files.ca) as running:
        yield running
