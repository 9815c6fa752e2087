"""A host of its own: a network namespace that nothing can dial into, with folders of its own for a service.

The folders are ``/etc`` and ``/var/lib`` as they are; what is written there is kept in memory, and gone
afterwards.
"""

import os
import re
import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.apart import Service
from tests.e2e.cluster import Done
from tests.servers import process

NAME = f"rg{os.getpid() % 100000}"
HERE, THERE = "198.18.77.1", "198.18.77.2"  # RFC 2544: nobody's
PROXY, DATABASE_HOST = "proxy.example.com", "postgres.internal"  # both are at HERE, and known there alone

_OWN_FOLDERS = """
mount -t tmpfs tmpfs {over}
for folder in etc var/lib; do
    own={over}/$folder
    mkdir -p $own/upper $own/work
    mount -t overlay overlay -o lowerdir=/$folder,upperdir=$own/upper,workdir=$own/work /$folder
done
echo '{here} {proxy} {database}' >> /etc/hosts
echo made
exec sleep infinity
"""


def ip(*words: str) -> str:
    """The program of that name."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout


def can_be_had() -> bool:
    """True for root, where the kernel lets one make them."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    try:
        ip("netns", "add", f"{NAME}p")
        ip("netns", "del", f"{NAME}p")
    except subprocess.SubprocessError:
        return False
    return True


@contextmanager
def namespace() -> Iterator[None]:
    """A namespace behind a cable; its end here is HERE, its end there is THERE."""
    ip("netns", "add", NAME)
    try:
        ip("link", "add", f"{NAME}a", "type", "veth", "peer", "name", f"{NAME}b", "netns", NAME)
        ip("addr", "add", f"{HERE}/30", "dev", f"{NAME}a")
        ip("link", "set", f"{NAME}a", "up")
        inside = ("-n", NAME)
        ip(*inside, "addr", "add", f"{THERE}/30", "dev", f"{NAME}b")
        ip(*inside, "link", "set", f"{NAME}b", "up")
        ip(*inside, "link", "set", "lo", "up")
        yield
    finally:
        with suppress(subprocess.SubprocessError):
            ip("link", "del", f"{NAME}a")
        ip("netns", "del", NAME)


@contextmanager
def forwarded(port: int) -> Iterator[int]:
    """The database, which listens on this host's loopback alone, at this end of the cable; its port there."""
    with closing(socket.create_server((HERE, 0))) as listening:
        threading.Thread(target=_accept, args=(listening, port), daemon=True).start()
        yield int(listening.getsockname()[1])


def _accept(listening: socket.socket, port: int) -> None:
    with suppress(OSError):
        while True:
            one, _ = listening.accept()
            threading.Thread(target=_join, args=(one, port), daemon=True).start()


def _join(one: socket.socket, port: int) -> None:
    with closing(one), closing(socket.create_connection(("127.0.0.1", port))) as other:
        back = threading.Thread(target=_copy, args=(other, one), daemon=True)
        back.start()
        _copy(one, other)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def own_folders(folder: Path) -> Iterator[int]:
    """The process that keeps the folders; it is in the namespace, where both names are known."""
    over = folder / "over"
    over.mkdir()
    script = _OWN_FOLDERS.format(over=over, here=HERE, proxy=PROXY, database=DATABASE_HOST)
    log = folder / "host.log"
    command = ["ip", "netns", "exec", NAME, "/bin/sh", "-ec", script]
    keeper = process.start("host", command, log=log, directory=folder, as_unprivileged=False)
    try:
        keeper.wait_until(lambda: "made" in log.read_text(), seconds=20)
        yield keeper.pid
    finally:
        keeper.stop()


@dataclass(slots=True)
class Installed(Service):
    """A service over there that is started as its systemd unit says, without systemd."""

    host: int = 0
    """The process that is over there."""

    @property
    def inside(self) -> Sequence[str]:
        """What a command begins with that is typed over there."""
        return "nsenter", f"--target={self.host}", "--mount", "--net", "--"

    def there(self, path: str) -> Path:
        """A file over there, as seen from here."""
        return Path(f"/proc/{self.host}/root{path}")

    @property
    def configuration(self) -> Path:
        """The file that it starts from."""
        return self.there("/etc/regate-db.yaml")

    @property
    def data_dir(self) -> Path:
        """Where it keeps what it has."""
        return self.there("/var/lib/regate")

    def unit(self, name: str) -> str:
        """A setting of the unit."""
        text = self.there("/etc/systemd/system/regate.service").read_text()
        (found,) = re.findall(rf"^{name}=(.+)$", text, re.MULTILINE)
        return str(found)

    def command(self) -> Sequence[str | Path]:
        """What the unit starts, as the account that it names.

        It may read what root may: the interpreter of these tests can be in root's home directory.
        """
        account = self.type("id -u {0}; id -g {0}".format(shlex.quote(self.unit("User")))).stdout.split()
        rights = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search", "--no-new-privs"]
        who = [f"--reuid={account[0]}", f"--regid={account[1]}", "--clear-groups", "--pdeathsig=TERM"]
        return [*self.inside, "setpriv", *who, *rights, *shlex.split(self.unit("ExecStart"))]

    def type(self, line: str) -> Done:
        """One line in a shell over there, where ``regate`` is on the PATH."""
        done = subprocess.run(
            [*self.inside, "/bin/sh", "-ec", line],
            env=self.cluster.environment(self.folder),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)
