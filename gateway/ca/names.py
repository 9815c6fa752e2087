"""Names in certificates: subjects, identities as URIs, hosts."""

import ipaddress
from collections.abc import Sequence
from urllib.parse import quote

from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway.errors import CertificateError

_MAX_NAME = 64  # X.520 ub-common-name


def subject(common_name: str) -> x509.Name:
    """A subject with this name alone; CertificateError for one that cannot stand in a certificate."""
    if not 0 < len(common_name) <= _MAX_NAME or not common_name.isprintable():
        raise CertificateError(f"{common_name!r} cannot be a certificate's name")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def uri(cluster: str, kind: str, name: str) -> x509.GeneralName:
    """Who or what it is: ``spiffe://cluster/kind/name``."""
    return x509.UniformResourceIdentifier(f"spiffe://{cluster.lower()}/{kind}/{quote(name, safe='')}")


def first(names: Sequence[str]) -> str:
    """The name that a server's certificate is called by."""
    if not names:
        raise CertificateError("a server certificate needs at least one host name or address")
    return names[0][:_MAX_NAME]


def hosts(names: Sequence[str]) -> tuple[x509.GeneralName, ...]:
    """Host names and addresses, each once; CertificateError for what is neither."""
    return tuple(_host(name) for name in dict.fromkeys(names))


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    labels = name.split(".")
    if len(name) > 253 or not all(_is_label(label, first=label is labels[0]) for label in labels):
        raise CertificateError(f"{name!r} is neither a host name nor an address")
    return x509.DNSName(name)


def _is_label(label: str, *, first: bool) -> bool:
    if first and label == "*":
        return True
    bare = label.replace("-", "a").replace("_", "a")
    return 0 < len(label) <= 63 and bare.isascii() and bare.isalnum() and not label.startswith("-")
