"""Where the cluster's state is kept, as ``auth_service.storage`` of the configuration says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from gateway.address import is_here

SEALING_KEY = Path("keys", "state.key")
"""The file below the data directory with the key that the cluster's keys are sealed with."""


@dataclass(frozen=True, slots=True)
class Storage:
    """``sqlite:///path`` or ``postgresql://user@host:port/database``, and how to be let in there.

    The password is read anew for every connection, from the file's first line or from the environment. TLS
    verifies chain and name, always; *tls* is off only for this host. *sealing_key* is the file whose
    key the cluster's own keys are sealed with; every node needs the same.
    """

    url: str
    password_file: Path | None = None
    password_env: str = ""
    tls: bool = True
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    sealing_key: Path = SEALING_KEY

    @property
    def is_shared(self) -> bool:
        """True where other hosts may use the same state."""
        return self.url.startswith("postgresql:")


def read(section: Mapping[str, Any], base: Path, data_dir: Path) -> Storage:
    """The storage of a checked section; relative paths in it start at *base*."""

    def path(place: Mapping[str, Any], name: str) -> Path | None:
        return base / place[name] if name in place else None

    tls = section.get("tls", {})
    return Storage(
        url=section.get("url", f"sqlite:///{data_dir / 'regate.db'}"),
        password_file=path(section, "password_file"),
        password_env=section.get("password_env", ""),
        tls=tls.get("mode", "verify-full") != "disable",
        ca_file=path(tls, "ca_cert_file"),
        cert_file=path(tls, "cert_file"),
        key_file=path(tls, "key_file"),
        sealing_key=path(section, "key_file") or data_dir / SEALING_KEY,
    )


def problems(section: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What a schema cannot say about the section: where, and what was expected."""
    url = _split(section.get("url", "sqlite:///x"))
    tls = section.get("tls", {})
    if url is None or url.scheme not in {"sqlite", "postgresql"}:
        yield ("url",), "expected sqlite:///path or postgresql://user@host:port/database"
        return
    if url.scheme == "sqlite":
        if not url.path.startswith("//") and not url.path.removeprefix("/"):
            yield ("url",), "expected a file behind sqlite:///"
        for name in ("password_file", "password_env", "tls"):
            if name in section:
                yield (name,), "expected nothing: SQLite is a file on this host"
        return
    if url.password is not None:
        yield ("url",), "expected no password in it: name a password_file or password_env"
    if "password_file" in section and "password_env" in section:
        yield ("password_env",), "expected one of password_file and password_env"
    if ("cert_file" in tls) != ("key_file" in tls):
        yield ("tls",), "expected cert_file and key_file together"
    if tls.get("mode") == "disable" and not is_local(section["url"]):
        yield (
            ("tls", "mode"),
            "expected verify-full: only localhost, 127.0.0.1, ::1 and unix sockets do without",
        )


def is_local(url: str) -> bool:
    """True for an address of this host: loopback, or a unix socket."""
    return all(host.startswith("/") or is_here(host) for host in _hosts(url))


def is_socket(url: str) -> bool:
    """True for a unix socket, and nothing beside it."""
    return all(host.startswith("/") for host in _hosts(url))


def _hosts(url: str) -> list[str]:
    """Every host that a driver may try: several stand with commas between them, or one behind the other."""
    split = urlsplit(url)
    named = parse_qs(split.query).get("host", [split.hostname or "localhost"])
    return [host for text in named for host in text.split(",")]


def _split(url: str) -> SplitResult | None:
    try:
        found = urlsplit(url)
        _ = found.port
    except ValueError:
        return None
    return found
