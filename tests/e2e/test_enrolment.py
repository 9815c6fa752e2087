"""The story of enrolling a database on another host, with the commands that a person types."""

import json
import shlex
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from ssl import _create_unverified_context
from urllib.request import urlopen

import psycopg
import pytest
import yaml

from tests.e2e import cluster as clusters
from tests.e2e.apart import Service, until_served
from tests.e2e.cluster import DATABASE, PASSWORD, Cluster, Done, User, eventually, role
from tests.servers import certificates
from tests.servers.process import LOOPBACK, free_port, temporary_folder

pytestmark = pytest.mark.db


@dataclass(frozen=True)
class Site:
    """Auth and proxy on one host, with a web certificate that the system's roots know, and an agent."""

    cluster: Cluster
    roots: Path
    agent: Service
    token: str


def shell(cluster: Cluster, line: str, home: Path, **more: str) -> Done:
    """One line in a shell, where ``regate`` is on the PATH."""
    environment = cluster.environment(home) | {"REGATE_CONFIG": str(cluster.configuration)} | more
    done = subprocess.run(
        ["/bin/sh", "-ec", line],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with temporary_folder("regate-") as folder:
        folder.chmod(0o700)
        authority = certificates.Authority(folder / "authority", "public-ca")
        files = authority.server()
        cluster, own_port = Cluster(folder, free_port()), free_port()
        clusters.configure(
            cluster,
            db_service={"enabled": False},
            proxy_service={
                "enabled": True,
                "listen_addr": f"{LOOPBACK}:{cluster.port}",
                "public_addr": cluster.proxy,
                "postgres_listen_addr": f"{LOOPBACK}:{own_port}",
                "https_keypairs": [{"cert_file": str(files.certificate), "key_file": str(files.key)}],
            },
        )
        cluster.start()
        try:
            with clusters.signed_postgres(cluster, {}, None) as server:
                cluster.database = server
                server.create("mydb", "alice")
                home = folder / "agent"
                home.mkdir(mode=0o700)
                yield enrol(cluster, authority.ca, Service("agent", home, cluster))
        finally:
            cluster.stop()


def enrol(cluster: Cluster, roots: Path, agent: Service) -> Site:
    """The lines of the guide, with paths of this test's."""
    uri, home = cluster.pg.uri, agent.folder
    lines = f"""
    umask 022
    regate tokens add --type=db --labels=env=production --format=text > {home}/token
    regate db configure create --token={home}/token --ca-pin={cluster.pin} --name={DATABASE} \\
        --description="Production PostgreSQL" --proxy={cluster.proxy} --protocol=postgres --uri={uri} \\
        --labels=env=production,team=platform --data-dir={agent.data_dir} --output=file://{agent.configuration}
    """
    done = shell(cluster, lines, home)
    assert done.code == 0, done
    return Site(cluster, roots, agent, (home / "token").read_text().strip())


@pytest.fixture(scope="module")
def served(site: Site) -> Iterator[Site]:
    site.agent.start()
    try:
        until_served(site.cluster, 1)
        allow = {"db_labels": {"env": "production"}, "db_users": ["alice"], "db_names": ["mydb"]}
        site.cluster.create(role("developer", allow=allow))
        site.cluster.add_user("alice", "developer")
        yield site
    finally:
        site.agent.stop()


def alice(site: Site) -> User:
    return site.cluster.users["alice"]


def test_the_list_shows_who_serves_it_and_how_it_is(served: Site) -> None:
    said = alice(served).regate("db", "ls", "-v").stdout
    (row,) = [line for line in said.splitlines() if line.startswith(DATABASE)]
    assert "env=production,team=platform" in row
    assert served.agent.id in row
    assert "healthy" in row
    (item,) = json.loads(alice(served).regate("db", "ls", "-v", "--format=json").stdout)
    assert [(agent["id"], agent["healthy"]) for agent in item["agents"]] == [(served.agent.id, True)]


def test_a_session_goes_through(served: Site) -> None:
    access = alice(served).access("alice", "mydb")
    with psycopg.connect(access.conninfo) as session:
        assert session.execute("select 1").fetchone() == (1,)


def test_a_port_for_postgres_alone_serves_that_and_no_api(served: Site) -> None:
    written = yaml.safe_load(served.cluster.configuration.read_text())
    port = int(written["proxy_service"]["postgres_listen_addr"].rpartition(":")[2])
    access = replace(alice(served).access("alice", "mydb"), port=port)
    with psycopg.connect(access.conninfo) as session:
        assert session.execute("select 2").fetchone() == (2,)
    with (
        pytest.raises(OSError, match=r"EOF|reset|closed"),
        urlopen(f"https://localhost:{port}/v1/ping", timeout=10, context=_create_unverified_context()),
    ):
        pass
    served.cluster.run("db", "ls", home=alice(served).home)


def test_the_token_is_in_no_process_list_log_or_record(served: Site) -> None:
    assert len(served.token) == 64
    written = [path for path in (served.cluster.folder / "data" / "audit").rglob("*") if path.is_file()]
    written += [served.cluster.folder / "start.log", served.agent.folder / "start.log"]
    written += [path for path in served.agent.data_dir.rglob("*") if path.is_file()]
    assert written
    for path in written:
        assert served.token.encode() not in path.read_bytes(), path
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert served.token.encode() not in process.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue


def test_a_token_that_others_can_read_is_told_of(served: Site) -> None:
    assert stat.S_IMODE((served.agent.folder / "token").stat().st_mode) == 0o644
    assert "everybody on this host may read the join token" in served.agent.log


def test_the_token_works_once(served: Site) -> None:
    home = served.cluster.folder / "second"
    home.mkdir(mode=0o700)
    second = Service("second", home, served.cluster)
    text = served.agent.configuration.read_text().replace(str(served.agent.folder), str(home))
    second.configuration.write_text(text)
    (home / "token").write_text(served.token)
    second.start(wait=False)
    assert second.server is not None
    for _ in eventually("it gives up", seconds=30):
        if (code := second.server.process.poll()) is not None:
            break
    assert code == 3
    assert "the join token is not known to this cluster, or was used already" in second.log
    assert "regate tokens add --type=db" in second.log


def test_without_a_pin_the_system_has_to_know_the_proxy(served: Site) -> None:
    person = alice(served)
    login = ("login", f"--proxy={served.cluster.proxy}", "--user=alice", "--password-stdin")
    home = served.cluster.folder / "elsewhere"
    home.mkdir(mode=0o700, exist_ok=True)
    refused = served.cluster.run(*login, home=home, stdin=PASSWORD + "\n", check=False)
    assert refused.code == 6
    known = str(served.roots)
    served.cluster.run(*login, home=home, stdin=PASSWORD + "\n", SSL_CERT_FILE=known)
    route = ("--db-user=alice", "--db-name=mydb", DATABASE)
    served.cluster.run("db", "login", *route, home=home, SSL_CERT_FILE=known)
    said = served.cluster.run("db", "env", "--format=json", *route, home=home, SSL_CERT_FILE=known).stdout
    values = json.loads(said)
    # psql meets the cluster's own certificate, and the authority that the login brought along.
    command = "psql -Atc 'select 7'"
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in values.items())
    assert shell(served.cluster, f"{exports} {command}", home).stdout == "7\n"
    assert person.regate("db", "ls").code == 0  # the profile that was pinned goes on


def unwell(site: Site, name: str) -> str:
    """What the list says is wrong with a database, once its service has looked."""
    for _ in eventually(f"{name} was looked at", seconds=60):
        listed = json.loads(alice(site).regate("db", "ls", "-v", "--format=json").stdout)
        for agent in (agent for item in listed if item["name"] == name for agent in item["agents"]):
            if not agent["healthy"] and "not looked at" not in agent["reason"]:
                return str(agent["reason"])
    raise AssertionError


def test_a_service_joins_without_a_pin_and_says_which_of_its_databases_is_not_there(served: Site) -> None:
    home = served.cluster.folder / "third"
    home.mkdir(mode=0o700)
    third = Service("third", home, served.cluster)
    secret = served.cluster.admin("tokens", "add", "--type=db", "--format=text").stdout
    (home / "token").write_text(secret)
    (home / "token").chmod(0o600)
    third.configuration.write_text(
        "version: v3\n"
        f"regate: {{proxy_server: '{served.cluster.proxy}', auth_token: ./token, data_dir: data}}\n"
        "auth_service: {enabled: no}\nproxy_service: {enabled: no}\ndb_service: {databases: [{name: down,"
        f" protocol: postgres, uri: 'localhost:{free_port()}', static_labels: {{env: production}}}}]}}\n"
    )
    third.prefix = ("env", f"SSL_CERT_FILE={served.roots}")
    third.start()
    try:
        assert third.id.startswith("db-")
        assert "cannot reach" in unwell(served, "down")
    finally:
        third.stop()
        served.cluster.admin("rm", "db/down")


def test_a_database_that_the_token_does_not_allow_is_not_served(served: Site) -> None:
    """The token was for ``env=production``: what the file says later does not widen it."""
    text = served.agent.configuration.read_text()
    served.agent.stop()
    try:
        served.agent.configuration.write_text(text.replace("env: production", "env: dev"))
        served.agent.start(wait=False)
        for _ in eventually("it is told", seconds=40):
            if "does not allow it" in served.agent.log:
                break
    finally:
        served.agent.stop()
        served.agent.configuration.write_text(text)
        served.agent.start()
        until_served(served.cluster, 1)
