"""Redis' clients as a person starts them: redis-py and redis-cli, at a tunnel's port or natively with TLS."""

import json
import subprocess
from pathlib import Path
from typing import Any

import redis
import yaml

from tests.e2e.access import Access
from tests.e2e.cluster import Cluster

_asked_for: dict[tuple[Path, str, str, str], Access] = {}


def tls(access: Access) -> dict[str, Any]:
    """redis-py's arguments for TLS; none at a plain port."""
    if access.ca is None:
        return {}
    return {
        "ssl": True,
        "ssl_certfile": str(access.certificate),
        "ssl_keyfile": str(access.key),
        "ssl_ca_certs": str(access.ca),
    }


def client(access: Access, protocol: int = 2) -> "redis.Redis":
    """redis-py at one server."""
    more: dict[str, Any] = {
        "protocol": protocol,
        "socket_timeout": 20,
        "decode_responses": True,
        **tls(access),
    }
    return redis.Redis(access.host, access.port, **more)


def cluster_client(access: Access, protocol: int = 2) -> "redis.RedisCluster":
    """redis-py at a cluster."""
    more: dict[str, Any] = {
        "protocol": protocol,
        "socket_timeout": 20,
        "decode_responses": True,
        **tls(access),
    }
    return redis.RedisCluster(access.host, access.port, **more)


def cli(access: Access, *words: str, stdin: str | None = None) -> str:
    """All that redis-cli says."""
    command = ["redis-cli", "-h", access.host, "-p", str(access.port)]
    if access.ca:
        command += ["--tls", "--cacert", str(access.ca), "--cert", str(access.certificate)]
        command += ["--key", str(access.key)]
    done = subprocess.run(
        [*command, *words], capture_output=True, text=True, check=False, timeout=60, input=stdin
    )
    return done.stdout + done.stderr


def native(cluster: Cluster, user: str, database: str, db_user: str = "default") -> Access:
    """A certificate, and the port that is Redis' alone; asked for once."""
    key = (cluster.folder, user, database, db_user)
    if key not in _asked_for:
        _asked_for[key] = _login(cluster, user, database, db_user)
    return _asked_for[key]


def _login(cluster: Cluster, user: str, database: str, db_user: str) -> Access:
    person = cluster.users[user]
    route = (f"--db-user={db_user}", "--db-name=0", database)
    person.regate("db", "login", *route)
    found = json.loads(person.regate("db", "config", "--format=json", *route).stdout)
    written = yaml.safe_load(cluster.configuration.read_text())["proxy_service"]
    port = int(written["redis_listen_addr"].rpartition(":")[2])
    files = (Path(found["cert"]), Path(found["key"]), Path(found["ca"]))
    return Access("localhost", port, db_user, "0", *files)
