"""Which process of a gateway has whose connections."""

from contextlib import suppress
from pathlib import Path

from tests.e2e import cluster as clusters
from tests.e2e.cluster import Cluster, eventually


def workers(cluster: Cluster) -> list[int]:
    """The session processes that run now."""
    return [
        child
        for child in clusters.children(cluster.pid)
        if b"gateway.services.worker" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def connections(cluster: Cluster, port: int) -> list[int]:
    """How many connections of clients at *port* each process has: the main one, then its workers."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    here = {
        f"socket:[{words[9]}]" for words in lines if words[1].endswith(f":{port:04X}") and words[3] == "01"
    }
    return [len(here & set(_files(pid))) for pid in (cluster.pid, *workers(cluster))]


def handed_over(cluster: Cluster, port: int) -> list[int]:
    """How many each worker has, once the main process has none of those at *port*."""
    for _ in eventually("the main process has let go of all of them", seconds=30):
        main, *others = connections(cluster, port)
        if main == 0:
            break
    return others


def _files(pid: int) -> list[str]:
    """What the open files of a process are."""
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since
            found.append(str(each.readlink()))
    return found
