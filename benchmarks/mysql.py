"""sysbench oltp_point_select: straight to MariaDB and through Regate, 32 threads, in one run.

Mutual TLS on every leg, OPA asked for every statement, the audit durable before anything is forwarded.
Prepared statements, as the tool does without more, and texts. Beside the rates is the processor time of the
gateway and of its engine per statement. The last line is one JSON object with the ratios.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure
from tests.e2e import cluster as clusters
from tests.e2e import mysql_rig
from tests.e2e.cluster import Cluster, wide_role
from tests.servers import certificates, install, mariadb, process

THREADS = 32
ROWS = 100_000
DATABASE = "bench"
MODES = {"prepared": "auto", "text": "disable"}
_RATE = re.compile(r"queries: +\d+ +\(([0-9.]+) per sec\.\)")


@dataclass(frozen=True, slots=True)
class Way:
    """A port, and a folder with the files that sysbench looks for in the one it runs in."""

    port: int
    folder: Path


@contextmanager
def running() -> Iterator[tuple[Cluster, Way, Way]]:
    """A gateway and a server; then the way straight to it, and the way through."""
    install.ensure("mariadb", "sysbench")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="regate-bench-")))
        folder.chmod(0o755)
        own = certificates.Authority(folder / "own")
        port, mysql = process.free_port(), process.free_port()
        proxy = {
            "enabled": True,
            "listen_addr": f"{process.LOOPBACK}:{port}",
            "public_addr": f"localhost:{port}",
            "mysql_listen_addr": f"{process.LOOPBACK}:{mysql}",
        }
        cluster = stack.enter_context(clusters.running(port=port, proxy_service=proxy))
        files = certificates.Authority(folder / "server").server()
        trusted = folder / "clients.crt"
        trusted.write_text(cluster.admin("auth", "export", "--type=db-client").stdout + own.ca.read_text())
        server = stack.enter_context(
            mariadb.running(
                certificate=files.certificate,
                key=files.key,
                client_ca=trusted,
                settings={"general_log": "0"},
            )
        )
        server.create(DATABASE, "alice")
        tls = {"mode": "verify-full", "ca_cert": files.ca.read_text()}
        cluster.create(mysql_rig.database(DATABASE, server.uri, tls=tls), wide_role("bench-wide"))
        user = cluster.add_user("bench", "bench-wide")
        client = own.client("alice")
        direct = _way(folder / "direct", server.port, client.certificate, client.key, files.ca)
        said = user.regate(
            "db", "config", "--db-user=alice", f"--db-name={DATABASE}", DATABASE, "--format=json"
        )
        shown = json.loads(said.stdout)
        through = _way(folder / "through", mysql, *(Path(shown[name]) for name in ("cert", "key", "ca")))
        yield cluster, direct, through


def _way(folder: Path, port: int, certificate: Path, key: Path, ca: Path) -> Way:
    folder.mkdir()
    for source, name in ((certificate, "client-cert.pem"), (key, "client-key.pem"), (ca, "cacert.pem")):
        shutil.copyfile(source, folder / name)
        (folder / name).chmod(0o600)
    return Way(port, folder)


def sysbench(way: Way, step: str, mode: str, seconds: int = 1) -> str:
    """What one run of it says."""
    command = [
        "sysbench", "oltp_point_select", "--db-driver=mysql", "--mysql-host=127.0.0.1", "--mysql-ssl=on",
        f"--mysql-port={way.port}", "--mysql-user=alice", f"--mysql-db={DATABASE}", f"--table-size={ROWS}",
        f"--threads={THREADS if step == 'run' else 1}", f"--time={seconds}", f"--db-ps-mode={mode}", step,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=way.folder, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise process.ServerError(f"sysbench: {done.stdout[-500:]}{done.stderr[-500:]}")
    return done.stdout


def rate(way: Way, mode: str, seconds: int) -> float:
    """Statements per second."""
    found = _RATE.search(sysbench(way, "run", mode, seconds))
    if found is None:
        raise process.ServerError("sysbench: it does not say how many queries it ran")
    return float(found[1])


def run(seconds: int, say: Callable[[str], None]) -> dict[str, float]:
    """Both ways take turns; the ratios."""
    found: dict[str, float] = {}
    with running() as (cluster, direct, through):
        sysbench(direct, "prepare", "auto")
        for name, mode in MODES.items():
            plain = rate(direct, mode, seconds)
            before = measure.cpu_seconds(cluster.pid), measure.cpu_seconds(cluster.opa_pid())
            ours = rate(through, mode, seconds)
            after = measure.cpu_seconds(cluster.pid), measure.cpu_seconds(cluster.opa_pid())
            gateway, engine = (1e6 * (b - a) / (ours * seconds) for a, b in zip(before, after, strict=True))
            say(
                f"point select, {name:8}  direct {plain:8.0f}/s  regate {ours:7.0f}/s"
                f"  ratio {ours / plain:.3f}  gateway {gateway:5.1f} us  engine {engine:5.1f} us"
            )
            found[f"mysql_{name}_vs_direct"] = round(ours / plain, 3)
    return found


if __name__ == "__main__":
    try:
        sys.exit(measure.told(__doc__ or "", quick=4, full=15, run=run))
    except process.ServerError as failure:
        sys.exit(f"bench: {failure}")
