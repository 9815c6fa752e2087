"""Where an OPA is asked: a unix socket, or an operator's own address, which is verified unless it is here."""

import asyncio  # noqa: TID251
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from gateway.address import is_here
from gateway.errors import ConfigError

P = TypeVar("P", bound=asyncio.BaseProtocol)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """*path* is a unix socket's; where it is empty, *host* and *port* count, with *tls* unless it is None."""

    path: str = ""
    host: str = ""
    port: int = 0
    tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        """What requests are addressed to; over a unix socket the host in it means nothing."""
        if self.path:
            return "http://opa"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.tls is None else 'https'}://{host}:{self.port}"

    async def connect(self, protocol: Callable[[], P]) -> P:
        """A new connection; an OSError when nobody is there or the certificate is not right."""
        loop = asyncio.get_running_loop()
        if self.path:
            return (await loop.create_unix_connection(protocol, self.path))[1]
        name = self.host if self.tls is not None else None
        return (
            await loop.create_connection(protocol, self.host, self.port, ssl=self.tls, server_hostname=name)
        )[1]


def endpoint(place: "Endpoint | str | os.PathLike[str]") -> Endpoint:
    """*place* itself, or the unix socket of that path."""
    return place if isinstance(place, Endpoint) else Endpoint(os.fspath(place))


def parse(text: str, ca_file: Path | None = None) -> Endpoint:
    """``unix:/path``, ``http://127.0.0.1:8181`` or ``https://host:8181``.

    Raises:
        ConfigError: it is none of these; plain HTTP to another host would show the token to the network.
    """
    if text.startswith("unix:/"):
        return Endpoint("/" + text.removeprefix("unix:").lstrip("/"))
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme not in {"http", "https"} or not host or extra:
        raise ConfigError(f"expected unix:/path or https://host:port, got {text[:64]!r}")
    if parts.scheme == "http":
        if not is_here(host):
            raise ConfigError(f"expected https for an OPA on another host, got {text[:64]!r}")
        return Endpoint(host=host, port=port or 80)
    return Endpoint(host=host, port=port or 443, tls=_context(ca_file))


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"cannot read certificates from {ca_file}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
