"""Fixtures that several parts share; servers start at their first use and are stopped by pid at the end."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.servers import certificates, postgres
from tests.servers.process import temporary_folder

# The same samples each time, so that a run that passed passes again; no deadline, for machines are shared.
settings.register_profile("seeded", derandomize=True, deadline=None)
settings.load_profile("seeded")

MOST_RUN_TWICE = 3
"""More tests that passed only when they ran again fail the run (`make test` runs each twice at most)."""


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Chance may slow one test down; many that need luck are a defect."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or session.exitstatus != pytest.ExitCode.OK:
        return
    again = len(reporter.stats.get("rerun", []))
    if again > MOST_RUN_TWICE:
        reporter.write_line(f"\n{again} tests passed only the second time, of {MOST_RUN_TWICE} allowed")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> certificates.Authority:
    """A CA for a bare server and its clients, where Regate's own are not the subject."""
    return certificates.Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def bare_postgres(authority: certificates.Authority) -> Iterator[postgres.Postgres]:
    """A PostgreSQL that trusts ``authority``: database ``mydb`` with the roles alice and bob."""
    server = authority.server()
    with (
        temporary_folder("regate-pg-") as folder,
        postgres.running(
            certificate=server.certificate, key=server.key, client_ca=server.ca, folder=folder
        ) as running,
    ):
        running.create("mydb", "alice", "bob")
        yield running
