"""The image, built and started: needs root, buildah, mmdebstrap and Go, and some minutes."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import children, eventually
from tests.packaging.image import TAG, Images, can_be_had
from tests.servers.process import free_port, temporary_folder

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not can_be_had(), reason="needs root, buildah, mmdebstrap and Go"),
]
FILE = "/etc/regate/regate.yaml"
WITHIN = """
command -v go
ls -d /build /root/go /usr/local/go
id -u
opa version | head -1
regate --version
python -c 'import pytest' 2>&1 | tail -1
"""


@pytest.fixture(scope="module")
def images() -> Iterator[Images]:
    with temporary_folder("regate-image-") as folder:
        made = Images(folder)
        made.build()
        yield made
        made.buildah("rmi", "--all", "--force")


def gateway_below(pid: int) -> int:
    """The process of ``regate start`` that *pid* started, through whatever else."""
    for child in children(pid):
        command = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        if command[0].startswith(b"/opt/regate/bin/python") and command[2:3] == [b"start"]:
            return child
        if found := gateway_below(child):
            return found
    return 0


def test_it_says_how_it_is_run(images: Images) -> None:
    about = images.about()
    assert about["User"] == "10001:10001"
    assert about["Entrypoint"] == ["regate"]
    assert about["Cmd"] == ["start", "-c", FILE]
    assert about["Volumes"] == {"/var/lib/regate": {}}
    assert about["StopSignal"] == "SIGTERM"


def test_what_it_was_built_with_is_not_in_it(images: Images) -> None:
    with images.container() as name:
        said = images.buildah("run", "--isolation=chroot", name, "sh", "-c", WITHIN)
    lines = said.splitlines()
    assert lines[:2] == ["10001", "Version: 1.17.1"]
    assert lines[2].startswith("regate")
    assert lines[3] == "ModuleNotFoundError: No module named 'pytest'"


def test_a_cluster_starts_in_it_and_answers(images: Images, tmp_path: Path) -> None:
    port = free_port()
    file, log = tmp_path / "regate.yaml", tmp_path / "log"
    file.write_text(
        "version: v3\nregate: {data_dir: /var/lib/regate/data, cluster_name: image}\n"
        f"proxy_service: {{listen_addr: '127.0.0.1:{port}', public_addr: 'localhost:{port}'}}\n"
    )
    with images.container() as name:
        images.buildah("copy", "--chmod=644", name, file, FILE)
        inside = ["run", "--isolation=chroot", name, "regate"]
        with log.open("wb") as out:
            command = images.command(*inside, "start", "-c", FILE)
            running = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
        try:
            for _ in eventually(f"{TAG} is ready", seconds=120):
                assert running.poll() is None, log.read_text()
                if "\nReady" in log.read_text():
                    break
            assert "image" in images.buildah(*inside, "status", "-c", FILE)
            assert "The audit log is whole" in images.buildah(*inside, "audit", "verify", "-c", FILE)
            os.kill(gateway_below(running.pid), signal.SIGTERM)  # as a container's first process is told
            assert running.wait(60) == 0
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
        assert "Stopping" in log.read_text()
