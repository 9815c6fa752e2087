"""A server as a child: started as an unprivileged user, watched until it answers, stopped by its own pid."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK = "127.0.0.1"


class ServerError(RuntimeError):
    """A server did not start or did not stop; the message carries the end of its log."""


def free_port() -> int:
    """A port on the loopback address that nobody listens on, handed out once.

    It is none that a client's connection is given by the system, which may happen before it is used.
    """
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    raise ServerError("no port is free")


def _below_the_ephemeral() -> Iterator[int]:
    """All ports from 10,000 to those of clients (ip(7)); each process begins elsewhere."""
    end = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    count = max(end, 11_000) - 10_000
    begin = os.getpid() * 97
    while True:
        for number in range(count):
            yield 10_000 + (begin + number) % count


_PORTS = _below_the_ephemeral()


def listens(port: int) -> bool:
    """True when somebody takes a connection at *port* of the loopback address."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def suspend(pid: int) -> None:
    """Stop a process until SIGCONT; when this returns, not one of its threads runs any more."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + 20
    while any(state(thread) not in {"", "T", "t"} for thread in Path(f"/proc/{pid}/task").iterdir()):
        if time.monotonic() > deadline:
            raise ServerError(f"process {pid} runs on after SIGSTOP")
        time.sleep(0.01)


def state(task: Path) -> str:
    """The letter behind the name, which may have brackets and blanks in it; empty for one that is gone.

    *task* is a process or a thread below /proc (proc_pid_stat(5)).
    """
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def unprivileged() -> pwd.struct_passwd | None:
    """The account that servers run as when we are root (they refuse root); None when we are not."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServerError("no account to run servers as: neither postgres nor nobody exists")


def own(path: Path, mode: int) -> None:
    """Give *path* to the account that servers run as, with *mode*."""
    account = unprivileged()
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid)
    path.chmod(mode)


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """A folder that the unprivileged account owns; its path is short, for unix sockets have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    own(folder, 0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_as(arguments: Sequence[str | Path], *, directory: Path) -> None:
    """Run a program to its end as the unprivileged account."""
    account = unprivileged()
    done = subprocess.run(
        [str(argument) for argument in arguments],
        cwd=directory,
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ServerError(f"{arguments[0]} ended with {done.returncode}: {done.stderr.strip()[-800:]}")


@dataclass(slots=True)
class Server:
    """A running child; ``log`` is where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    _stopped: bool = field(default=False)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self.process.pid

    def is_running(self) -> bool:
        """True until the child has ended."""
        return self.process.poll() is None

    def tail(self, size: int = 2000) -> str:
        """The end of the log."""
        return self.log.read_text(errors="replace")[-size:] if self.log.exists() else ""

    def wait_until(self, is_ready: Callable[[], bool], *, seconds: float) -> None:
        """Return when *is_ready* says so; ServerError when the child ends first or time is up."""
        deadline = time.monotonic() + seconds
        while not is_ready():
            if not self.is_running():
                raise ServerError(f"{self.name} ended with {self.process.returncode}: {self.tail()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} was not ready within {seconds:g} s: {self.tail()}")
            time.sleep(0.03)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(10)

    def stop(self, *, seconds: float = 10) -> int:
        """Ask it to end, insist when it does not, and return its exit code."""
        if self.is_running():
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.wait(10)


def start(
    name: str,
    arguments: Sequence[str | Path],
    *,
    log: Path,
    directory: Path,
    environment: Mapping[str, str] | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
    as_unprivileged: bool = True,
) -> Server:
    """Start a child that ends when we do, in a session of its own so that a Ctrl-C here is ours to handle."""
    account = unprivileged() if as_unprivileged else None
    guard = shutil.which("setpriv")
    # The signal is set by setpriv after the account has changed: changing it clears the setting.
    prefix = [guard, "--pdeathsig", stop_signal.name.removeprefix("SIG")] if guard else []
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*prefix, *(str(argument) for argument in arguments)],
            cwd=directory,
            env=dict(environment) if environment is not None else None,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )
    return Server(name, process, log, stop_signal)
