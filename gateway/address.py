"""``host:port`` as people write it, IPv6 in brackets, read strictly."""

import re
from dataclasses import dataclass

from gateway.errors import ConfigError

_ADDRESS = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\]|(?P<host>[A-Za-z0-9_.-]*))(?::(?P<port>[0-9]{1,5}))?\Z"
)
_WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 # compared with, never listened on from here
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Address:
    """A host name or IP address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_wildcard(self) -> bool:
        """True when it stands for all interfaces, so that no client can dial it."""
        return self.host in _WILDCARDS


def parse(text: str, *, default_port: int | None = None) -> Address:
    """The address in *text*; a ConfigError says what is missing."""
    found = _ADDRESS.match(text)
    if found is None:
        raise ConfigError(f"{text!r} is no address", hint="write host:port, as in db.example.com:5432")
    host = found["six"] or found["host"] or ""
    if found["port"] is None and default_port is None:
        raise ConfigError(f"{text!r} has no port", hint="write host:port, as in db.example.com:5432")
    port = int(found["port"]) if found["port"] is not None else default_port
    assert port is not None
    if port > 65535:
        raise ConfigError(f"{port} is no port", hint="ports go up to 65535")
    return Address(host, port)


def parse_all(text: str) -> tuple[Address, ...]:
    """One address or several with commas between them, each with a port."""
    return tuple(parse(part) for part in text.split(","))


def is_here(host: str | None) -> bool:
    """True for the loopback host as it is usually written, and nothing that has to be understood first.

    What goes there crosses no network, so it may go unencrypted.
    """
    return host in _HERE
