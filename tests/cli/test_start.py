"""What ``regate start`` says when it cannot: one sentence, what to do, and nothing half begun."""

import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import REGATE, Person


@pytest.fixture
def operator(tmp_path: Path) -> Person:
    home = tmp_path / "home"
    home.mkdir()
    return Person(home)


def _config(home: Path, port: int, more: str = "", data_dir: str = "data") -> str:
    path = home / "regate.yaml"
    listen = f'proxy_service: {{listen_addr: "127.0.0.1:{port}"}}'
    path.write_text(f"version: v3\nregate: {{data_dir: {data_dir}}}\n{listen}\n{more}")
    return str(path)


def test_a_port_that_is_taken_is_found_before_anything_is_made(operator: Person) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = operator.run("start", "-c", _config(operator.home, port))
    assert done.code == 2
    assert done.err.splitlines() == [
        f"error: cannot listen on 127.0.0.1:{port}: address already in use",
        "  hint: does regate start run already? Else change proxy_service.listen_addr",
    ]
    assert not (operator.home / "data").exists()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("opa: {path: no-such-opa}\n", "no-such-opa cannot be run: no such file or directory"),
        ("opa: {path: /bin/true}\n", "/bin/true is no OPA: it does not say what it can do"),
        ("policy: {dir: no-such-folder}\n", "there is no folder "),
    ],
)
def test_what_it_needs_and_does_not_find_is_named_with_the_field(
    operator: Person, more: str, sentence: str
) -> None:
    done = operator.run("start", "-c", _config(operator.home, 0, more))
    assert done.code in {1, 2}
    assert sentence in done.err
    assert more.split(":", maxsplit=1)[0] + "." in done.err.splitlines()[1]


def test_a_data_directory_that_cannot_be_made_is_named(operator: Person) -> None:
    (operator.home / "file").write_text("")
    done = operator.run("start", "-c", _config(operator.home, 0, data_dir="file"))
    assert done.code == 1
    assert done.err == f"error: cannot use {operator.home}/file: file exists\n"


def test_a_signal_ends_what_still_waits_for_an_opa(operator: Person) -> None:
    token = operator.home / "token"
    token.write_text("t" * 64)
    token.chmod(0o600)
    opa = f"opa: {{address: 'unix:{operator.home}/nobody.sock', token_file: {token}}}\n"
    path = _config(operator.home, 0, opa)
    command = [str(REGATE), "start", "-c", path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as started:
        assert started.stdout is not None
        assert any("waiting for the OPA" in line for line in started.stdout)
        started.send_signal(signal.SIGTERM)
        try:
            said, _ = started.communicate(timeout=60)
        finally:
            started.kill()
    assert started.returncode == 0
    assert said.splitlines()[-1] == "Stopped"
