"""Who may open a session at this service: decided from the certificate alone, whatever the proxy says. Pure.

1. The user authority signed it, for the use ``session`` (``ca.identity.from_chain``). 2. It is for this
service. 3. It is valid now. 4. Nobody has shown it before: its serial number is remembered until it expires.
"""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509

from gateway.ca.identity import from_chain
from gateway.errors import CertificateError
from gateway.model.identity import Identity, Use


class Gate:
    """Admits each session certificate once."""

    def __init__(self, agent: str, cluster: str) -> None:
        self._agent = agent
        self._cluster = cluster
        self._seen: dict[str, datetime] = {}

    def admit(self, der: bytes | None, issuers: Sequence[x509.Certificate], now: datetime) -> Identity:
        """The identity to serve; a CertificateError says why there is none."""
        if not der:
            raise CertificateError("no certificate was shown")
        identity = from_chain(der, *issuers, uses=(Use.SESSION,), now=now)
        if identity.cluster != self._cluster:
            raise CertificateError(f"certificate is of cluster {identity.cluster}, this is {self._cluster}")
        if identity.agent != self._agent:
            raise CertificateError(f"this session is for {identity.agent}, this is {self._agent}")
        if identity.route is None or not identity.client_address:
            raise CertificateError("the session has no route, or comes from nowhere")
        self._forget(now)
        if identity.serial in self._seen:
            raise CertificateError("this session was opened before: its certificate works once")
        self._seen[identity.serial] = identity.expires
        return identity

    def _forget(self, now: datetime) -> None:
        """Serial numbers are kept in the order of coming; those of certificates that expired go."""
        over = [serial for serial, expires in self._seen.items() if expires <= now]
        for serial in over:
            del self._seen[serial]
