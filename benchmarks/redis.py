"""redis-benchmark GET and SET: direct and through Regate, with pipelines of 1 and of 16, in one run.

Mutual TLS on every leg, OPA asked for every command, the audit durable before anything is forwarded. As the
tool does without more, all ask for one key: what arrives together is one question. Beside the rates is the
processor time of the gateway and of its engine per command, which depends less on what else the machine does.
The last line is one JSON object with the ratios.
"""

import csv
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure
from tests.e2e import caches
from tests.e2e import cluster as clusters
from tests.e2e.access import Access
from tests.e2e.cluster import Cluster, wide_role
from tests.servers import certificates, process
from tests.servers import redis as servers

CLIENTS = 32
PIPELINES = (1, 16)
TESTS = ("set", "get")
CACHE = "cache"


@dataclass(frozen=True, slots=True)
class Rate:
    """Commands per second, and microseconds of processor time per command: the gateway's and the engine's."""

    per_second: float
    gateway_us: float = 0.0
    engine_us: float = 0.0


@contextmanager
def running() -> Iterator[tuple[Cluster, Access, Access]]:
    """A gateway and a server; then the way straight to it, and the way through."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="regate-bench-")))
        folder.chmod(0o755)
        own = certificates.Authority(folder / "own")
        port = process.free_port()
        proxy = {
            "enabled": True,
            "listen_addr": f"{process.LOOPBACK}:{port}",
            "public_addr": f"localhost:{port}",
            "redis_listen_addr": f"{process.LOOPBACK}:{process.free_port()}",
        }
        cluster = stack.enter_context(clusters.running(port=port, proxy_service=proxy))
        files = certificates.Authority(folder / "server").server()
        trusted = folder / "clients.crt"
        trusted.write_text(cluster.admin("auth", "export", "--type=db-client").stdout + own.ca.read_text())
        server = stack.enter_context(
            servers.running(certificate=files.certificate, key=files.key, client_ca=trusted)
        )
        tls = {"mode": "verify-full", "ca_cert": files.ca.read_text()}
        spec = {"protocol": "redis", "uri": server.uri, "tls": tls}
        database = {"kind": "db", "version": "v3", "metadata": {"name": CACHE}, "spec": spec}
        cluster.create(database, wide_role("bench-wide"))
        cluster.add_user("bench", "bench-wide")
        client = own.client("default")
        direct = Access("localhost", server.port, "default", "0", client.certificate, client.key, files.ca)
        yield cluster, direct, caches.native(cluster, "bench", CACHE)


def requested(access: Access, test: str, pipeline: int, requests: int) -> float:
    """Commands per second of one run of redis-benchmark."""
    command = ["redis-benchmark", "-h", access.host, "-p", str(access.port), "--tls", "--csv", "-t", test]
    command += ["--cacert", str(access.ca), "--cert", str(access.certificate), "--key", str(access.key)]
    command += ["-c", str(CLIENTS), "-P", str(pipeline), "-n", str(requests)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:  # one refused command is enough: a rate with refusals in it would be a lie
        raise process.ServerError(f"redis-benchmark: {(done.stdout + done.stderr).strip()[-300:]}")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    return float(rows[0]["rps"])


def through(cluster: Cluster, access: Access, test: str, pipeline: int, requests: int) -> Rate:
    """The same through the gateway, with what it cost."""
    before = measure.cpu_seconds(cluster.pid), measure.cpu_seconds(cluster.opa_pid())
    rate = requested(access, test, pipeline, requests)
    after = measure.cpu_seconds(cluster.pid), measure.cpu_seconds(cluster.opa_pid())
    gateway, engine = (1e6 * (b - a) / requests for a, b in zip(before, after, strict=True))
    return Rate(rate, gateway, engine)


def run(requests: int, say: Callable[[str], None]) -> dict[str, float]:
    """Both ways take turns; the ratios, and the processor time per command."""
    found: dict[str, float] = {}
    with running() as (cluster, direct, gateway):
        for pipeline in PIPELINES:
            for test in TESTS:
                count = requests * (4 if pipeline > 1 else 1)  # or it would measure how 32 clients log in
                plain = requested(direct, test, pipeline, 20 * requests)
                rate = through(cluster, gateway, test, pipeline, count)
                ratio = rate.per_second / plain
                say(
                    f"{test.upper()} pipeline {pipeline:3}  direct {plain:9.0f}/s"
                    f"  regate {rate.per_second:8.0f}/s  ratio {ratio:.3f}"
                    f"  gateway {rate.gateway_us:6.1f} us  engine {rate.engine_us:6.1f} us"
                )
                found[f"redis_{test}_{pipeline}_vs_direct"] = round(ratio, 3)
    return found


if __name__ == "__main__":
    try:
        sys.exit(measure.told(__doc__ or "", quick=8_000, full=64_000, run=run))
    except process.ServerError as failure:
        sys.exit(f"bench: {failure}")
