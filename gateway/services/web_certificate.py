"""The proxy's web certificate: for clients that speak the web alone, and read again when its files change.

Everything that belongs to the cluster (pinned clients, services elsewhere, database clients) goes on to see
the certificate of the cluster's own authority: it says so in the protocols that it offers.
"""

import asyncio  # noqa: TID251
import os
import ssl
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from structlog.typing import FilteringBoundLogger

from gateway.ca.tls import web_context
from gateway.config import KeyPair
from gateway.errors import ConfigError

LOOK_SECONDS = 30.0
_MAX_FILE = 256 * 1024


class WebCertificate:
    """The certificate of an operator's files; a renewed one that is broken leaves the last one in place."""

    def __init__(self, pair: KeyPair, trusted: Callable[[], str], log: FilteringBoundLogger) -> None:
        """*trusted* are the authorities whose certificates clients may show, as PEM text."""
        self._pair = pair
        self._trusted = trusted
        self._log = log
        self._seen = self._stamps()
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """What a web client that is accepted now gets."""
        return self._context

    def renew(self) -> None:
        """Trust the authorities of now, with the certificate there is."""
        try:
            self._context = self._load()
        except ConfigError as error:
            self._log.warning("the last web certificate stays", error=str(error))

    async def watch_forever(self) -> None:
        """Look at the files now and then, as whoever renews the certificate does not tell."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            stamps = await asyncio.to_thread(self._stamps)
            if stamps != self._seen:
                self._seen = stamps
                await asyncio.to_thread(self.renew)

    def _stamps(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(_stamp(path) for path in (self._pair.cert_file, self._pair.key_file))

    def _load(self) -> ssl.SSLContext:
        certificate, key = _read(self._pair.cert_file), _read(self._pair.key_file, is_secret=True)
        try:
            load_pem_private_key(key, password=None)
            return web_context(certificate.decode("ascii"), key.decode("ascii"), self._trusted())
        except (ValueError, TypeError, ssl.SSLError) as error:
            pair = f"{self._pair.cert_file} and {self._pair.key_file}"
            raise ConfigError(
                f"{pair} are not a certificate and its key in PEM without a password",
                hint="the certificate comes first in its file, then what lies between it and a known root",
            ) from error


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _read(path: Path, *, is_secret: bool = False) -> bytes:
    try:
        with path.open("rb") as file:
            if is_secret and os.fstat(file.fileno()).st_mode & 0o007:
                raise ConfigError(f"{path} may be read by everybody", hint=f"chmod 640 {path}")
            return file.read(_MAX_FILE)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {os.strerror(error.errno or 0)}") from error
