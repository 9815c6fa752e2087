"""What the relay needs where the auth service is in the same process."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

from gateway.auth.elsewhere import Elsewhere
from gateway.auth.sessions import Wish
from gateway.ca.keys import Authorities
from gateway.ca.profile import Kind
from gateway.services.databases import Databases
from gateway.tunnel.relay import Open


@dataclass(frozen=True, slots=True)
class Here:
    """``gateway.tunnel.relay.Where``, read from what this process holds."""

    authorities: Authorities
    databases: Databases

    @property
    def cluster(self) -> str:
        """The cluster's name."""
        return self.authorities.cluster

    def host_ca(self) -> str:
        """The authorities of services, in PEM."""
        return self.authorities.trusted_pem(Kind.HOST)

    def is_elsewhere(self, database: str) -> bool:
        """True for a database that services elsewhere serve."""
        found = self.databases.get(database)
        return found is not None and found.elsewhere


def opener(elsewhere: Elsewhere) -> Open:
    """Asks the auth service in this process for sessions."""

    async def open_session(
        certificate: bytes, csr: str, client_address: str, connected: Sequence[str]
    ) -> tuple[str, str]:
        opened = await elsewhere.open_session(None, Wish(certificate, csr, client_address, connected))
        return opened.agent, opened.certificate

    return open_session


def certificates_of(authorities: Authorities, kind: Kind) -> tuple[x509.Certificate, ...]:
    """The certificates of every authority of a kind that counts now."""
    return tuple(authority.certificate for authority in authorities.trusted(kind))
