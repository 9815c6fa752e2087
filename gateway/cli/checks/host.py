"""The auth service's host: its file, OPA, the clock, ports, certificates, and who can read what."""

import ctypes
import os
import socket
import ssl
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.cli import trust
from gateway.cli.checks import Check, bad, failed, good, note, words
from gateway.cli.client import Api, SocketEndpoint
from gateway.clock import SystemClock, utc
from gateway.config import Config
from gateway.errors import RegateError

_TIME_ERROR = 5  # what adjtimex(2) answers while the clock is not synchronised
_TIMEX_BYTES = 512  # more than struct timex has on any platform
_SOON = timedelta(days=30)
_FULL_PERCENT = 90


def examine(config: Config) -> Iterator[Check]:
    """All checks of this host, the cheap ones first."""
    yield good("configuration", f"{config.path} can be read")
    yield _opa(config)
    yield _clock()
    yield from _modes(config.data_dir)
    yield from _modes(config.audit_dir)
    yield from _disk(config.audit_dir)
    api = Api(SocketEndpoint(config.admin_socket))
    running = config.admin_socket.is_socket()
    yield from _port(config, running=running)
    if not running:
        remedy = f"run: regate start -c {config.path}"
        yield bad("services", f"nothing listens on {config.admin_socket}", remedy)
        return
    yield from _services(api)
    yield from _authorities(api, config)


def _opa(config: Config) -> Check:
    from gateway.policy.install import VERSION, find_opa  # noqa: PLC0415 # only the doctor needs it

    if config.opa.path is not None:
        if os.access(config.opa.path, os.X_OK):
            return good("opa", f"{config.opa.path} is there")
        return bad("opa", f"{config.opa.path} is not a program", "correct opa.path in the configuration")
    try:
        found = find_opa()
    except RegateError as error:
        return failed("opa", error)
    if found is None:
        return note(
            "opa", f"no OPA {VERSION} or newer on this host", "regate start gets one; it may take minutes"
        )
    return good("opa", f"{found} will do")


def _clock() -> Check:
    """Certificates of minutes need clocks that agree; the kernel knows whether somebody keeps this one."""
    library = ctypes.CDLL(None)
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    if library.adjtimex(buffer) == _TIME_ERROR:
        return note(
            "clock",
            "nobody keeps this host's clock",
            "turn on time synchronisation (chrony, systemd-timesyncd)",
        )
    return good("clock", "synchronised")


def _modes(folder: Path) -> Iterator[Check]:
    """The folder is the owner's alone, and so is each key in it, for the day that the folder is copied."""
    name = f"files in {folder}"
    try:
        about = folder.lstat()
    except FileNotFoundError:
        yield note(name, "not there yet", "regate start makes it")
        return
    except PermissionError:
        yield bad(name, "this user cannot look", "run regate doctor as the user that regate start runs as")
        return
    loose = []
    for path in (folder, *sorted(folder.glob("keys")), *sorted(folder.glob("keys/*"))):
        about = path.lstat()
        if stat.S_ISLNK(about.st_mode) or about.st_mode & 0o077:
            loose.append(path)
    if loose:
        shown = ", ".join(str(path) for path in loose[:5]) + (" and others" if len(loose) > 5 else "")
        yield bad(
            name,
            f"others may reach {shown}",
            f"chmod -R go= {folder}; make new keys if others might have read them",
        )
    else:
        yield good(name, "only their owner can read them")


def _disk(folder: Path) -> Iterator[Check]:
    if not folder.is_dir():
        return
    from gateway.audit.files import SystemFiles  # noqa: PLC0415 # only the doctor needs it

    percent = SystemFiles().used(folder)
    text = f"{percent} % full"
    remedy = "make room: when it is full, nothing is recorded, so nothing is allowed"
    yield (
        bad("disk of the audit log", text, remedy)
        if percent >= _FULL_PERCENT
        else good("disk of the audit log", text)
    )


def _port(config: Config, *, running: bool) -> Iterator[Check]:
    listen = config.proxy_service.listen
    host = "localhost" if listen.is_wildcard else listen.host
    name = f"port {listen}"
    try:
        with socket.create_connection((host, listen.port), timeout=5) as plain:
            yield _certificate(name, plain, running=running)
    except ConnectionRefusedError:
        if running:
            yield bad(
                name, "nobody listens there, though the services run", "restart regate start and read its log"
            )
        else:
            yield good(name, "free")
    except OSError as error:
        yield bad(name, f"cannot be reached: {words(error)}")


def _certificate(name: str, plain: socket.socket, *, running: bool) -> Check:
    """Whoever listens should be this cluster's proxy, with a certificate that lasts."""
    from cryptography import x509  # noqa: PLC0415 # only here

    if not running:
        return bad(name, "taken by another program", "stop it, or change proxy_service.listen_addr")
    context = trust.unverified_context()
    try:
        with context.wrap_socket(plain) as tls:
            der = tls.getpeercert(binary_form=True)
    except (OSError, ssl.SSLError) as error:
        return bad(name, f"no TLS there: {words(error)}")
    end = x509.load_der_x509_certificate(der or b"").not_valid_after_utc
    if end <= utc(SystemClock()):
        return bad(name, f"its certificate ended at {end:%Y-%m-%d %H:%M} UTC", "restart regate start")
    return good(name, f"serves TLS, its certificate is valid until {end:%Y-%m-%d %H:%M} UTC")


def _services(api: Api) -> Iterator[Check]:
    try:
        ready = api.get("/readyz")
    except RegateError as error:
        yield bad("services", f"not ready: {error}", error.hint)
        return
    yield good("services", "ready") if ready.get("ready") else bad("services", "not ready", "read the log")


def _authorities(api: Api, config: Config) -> Iterator[Check]:
    try:
        overview = api.get("/v1/cluster")
    except RegateError as error:
        yield failed("authorities", error)
        return
    yield good("CA pin", overview["ca_pin"])
    for kind, text in overview["authorities"].items():
        left = datetime.fromisoformat(text) - datetime.now(UTC)
        shown = f"valid until {text[:10]}"
        name = f"{kind} authority"
        yield (
            bad(name, shown, f"replace it: regate auth rotate --type={kind}")
            if left < _SOON
            else good(name, shown)
        )
    remedy = "keep backups of it apart from those of the state: together they are the cluster"
    yield note("authority keys", f"sealed in the state; {config.storage.sealing_key} opens them", remedy)
