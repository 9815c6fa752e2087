"""The README's five minutes, typed as they stand there: every command, on a real PostgreSQL."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import PASSWORD, REGATE, Cluster, Done
from tests.servers import postgres
from tests.servers.process import free_port, listens, start, temporary_folder

pytestmark = pytest.mark.db

README = Path(__file__).resolve().parents[2] / "README.md"
# What is added to be able to run it here: elsewhere than in /etc, without a terminal, and to an end.
SCRIPTED = {
    "regate configure": ["--data-dir={folder}/data", "--listen-addr=127.0.0.1:{port}"],
    "regate users accept": ["--token-file=token", "--password-stdin"],
    "regate login": ["--password-stdin"],
    "regate db connect": ["--", "-Atc", "select current_user"],
    "regate proxy db": ["--port={tunnel}"],
}


class Reader:
    """Somebody who types what the README says."""

    def __init__(self, folder: Path, database: int) -> None:
        self.cluster = Cluster(folder, free_port())
        self.tunnel = free_port()
        chapter = README.read_text().partition("## Five minutes by hand")[2].partition("\n## ")[0]
        self.commands = re.findall(r"^\$ (regate .*?)(?:  +#.*)?$", chapter, re.MULTILINE)
        for name, text in zip(
            ("role", "db"), re.findall(r"```yaml\n(.*?)```", chapter, re.DOTALL), strict=True
        ):
            here = text.replace("localhost:5432", f"localhost:{database}")
            (folder / f"{name}.yaml").write_text(here)

    def words(self, command: str) -> list[str]:
        """The command as it is typed here."""
        own = {"folder": str(self.cluster.folder), "port": str(self.cluster.port), "tunnel": str(self.tunnel)}
        more = next((words for name, words in SCRIPTED.items() if command.startswith(name)), [])
        for old, new in (
            ("/etc/regate.yaml", str(self.cluster.configuration)),
            ("localhost:3080", self.cluster.proxy),
            ("sha256:…", self.cluster.pin),
        ):
            command = command.replace(old, new)
        return [*shlex.split(command)[1:], *(word.format(**own) for word in more)]

    def type(self, command: str, stdin: str = "") -> Done:
        done = self.cluster.run(
            *self.words(command),
            home=self.cluster.folder,
            stdin=stdin,
            check=False,
            REGATE_CONFIG=str(self.cluster.configuration),
        )
        assert done.code == 0, f"{command}\n{done.said}"
        return done

    def until(self, name: str) -> Iterator[str]:
        """The next commands, up to and with the one that begins so."""
        while self.commands:
            command = self.commands.pop(0)
            yield command
            if command.startswith(name):
                return


def test_the_five_minutes_by_hand_go_as_they_are_written() -> None:
    with temporary_folder("regate-") as folder, temporary_folder("regate-pg-") as data:
        port = free_port()
        reader = Reader(folder, port)
        for command in reader.until("regate configure"):
            reader.type(command)
        assert [*reader.until("regate start")] == ["regate start -c /etc/regate.yaml"]
        reader.cluster.start()
        try:
            for command in reader.until("regate auth sign"):
                reader.type(command)
            trusted = folder / "server.cas"
            with postgres.running(
                certificate=folder / "server.crt",
                key=folder / "server.key",
                client_ca=trusted,
                folder=data,
                port=port,
            ) as server:
                server.create("mydb", "alice")
                _the_rest(reader)
        finally:
            assert reader.cluster.stop() == 0


def _the_rest(reader: Reader) -> None:
    said: dict[str, str] = {}
    for command in reader.until("regate db connect"):
        said[" ".join(command.split()[:3])] = reader.type(command, stdin=PASSWORD + "\n").stdout
        if command.startswith("regate users add"):
            (reader.cluster.folder / "token").write_text(said["regate users add"].splitlines()[2].strip())
    assert "hostssl" in said["regate doctor --db=my-postgres"]
    assert "my-postgres" in said["regate db ls"]
    assert said["regate db connect"].strip() == "alice"

    (tunnel,) = reader.until("regate proxy")
    server = start(
        "tunnel",
        [REGATE, *reader.words(tunnel)],
        log=reader.cluster.folder / "tunnel.log",
        directory=reader.cluster.folder,
        environment=reader.cluster.environment(reader.cluster.folder),
        as_unprivileged=False,
    )
    try:
        server.wait_until(lambda: listens(reader.tunnel), seconds=60)
    finally:
        server.stop()

    for command in [*reader.commands]:
        said[" ".join(command.split()[:3])] = reader.type(command).stdout
    assert "select current_user" in said["regate audit ls"]
    assert "The audit log is whole" in said["regate audit verify"]
