"""Knowing the proxy before anything secret is sent to it: a pin, an authority's file, or what was kept.

There is no trust on first use. With a pin, 1. the proxy's authority is fetched over a connection that
verifies nothing and carries nothing secret; 2. its public key must have the pinned digest; 3. every further
connection is new and verified with that authority, name and dates included.
"""

import hashlib
import hmac
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gateway.address import Address
from gateway.ca.profile import EXTENSION
from gateway.ca.tls import HOST, HTTP, towards_the_cluster_itself
from gateway.cli.failures import TrustError
from gateway.errors import ConfigError

_PIN = re.compile(r"sha256:[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Trust:
    """How a proxy is verified: *proxy_ca* is PEM text, None for the system's roots."""

    proxy_ca: str | None = None


def check_pin_form(pin: str) -> str:
    """*pin* in lower case; a ConfigError when it cannot be one."""
    text = pin.strip().lower()
    if not _PIN.match(text):
        raise ConfigError(
            f"{pin!r} is no pin: expected sha256: and 64 hexadecimal digits",
            hint="regate start prints the pin, and so does regate status on the host of the auth service",
        )
    return text


def pin_of(certificate_pem: str) -> str:
    """The pin of an authority: the digest of its public key."""
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode("ascii"))
    key = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return "sha256:" + hashlib.sha256(key).hexdigest()


def by_pin(proxy: Address, pin: str, ping: Any) -> Trust:
    """Trust in the authority that *ping*, fetched unverified, carries, if it has the pinned key."""
    host_ca = ping.get("host_ca") if isinstance(ping, dict) else None
    if not isinstance(host_ca, str):
        raise TrustError(f"{proxy} did not show its certificate authority", hint="is it a Regate proxy?")
    try:
        shown = {pin_of(pem): pem for pem in certificates(host_ca)}
    except (ValueError, UnicodeEncodeError) as error:
        raise TrustError(f"{proxy} showed an authority that cannot be read") from error
    for found, pem in shown.items():
        if hmac.compare_digest(found, pin):
            return Trust(pem)  # this one alone: whatever else stands in the answer was not pinned
    raise TrustError(
        f"{proxy} has not the pinned authority: expected {pin}, got {' and '.join(shown)}",
        hint="stop here unless the cluster was set up anew or its host authority was replaced; "
        "ask its operator for the pin",
    )


def certificates(pem: str) -> list[str]:
    """Each certificate of *pem* by itself: a cluster has two of a kind while one replaces the other."""
    found = x509.load_pem_x509_certificates(pem.encode("ascii"))
    return [one.public_bytes(serialization.Encoding.PEM).decode("ascii") for one in found]


def learned(trusted: str, known: str, told: str) -> str:
    """What verifies the proxy from now on, after it was verified with *trusted* and told about *told*.

    All are PEM texts: *known* are the host authorities that this cluster had before, *told* those of now.
    Where the proxy is verified by an authority of the operator's own, nothing is learned: that is no
    authority of the cluster.
    """
    ours = {*certificates(known), *certificates(told)}
    return told if set(certificates(trusted)) <= ours else trusted


def by_file(path: Path) -> Trust:
    """Trust in the authorities of a PEM file that the person names."""
    try:
        text = path.read_text(encoding="ascii")
        x509.load_pem_x509_certificates(text.encode("ascii"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} does not hold certificates in PEM") from error
    return Trust(text)


def context(trust: Trust) -> ssl.SSLContext:
    """TLS settings that verify chain, name and dates."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    made.hostname_checks_common_name = False
    if trust.proxy_ca is None:
        made.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        made.load_verify_locations(cadata=trust.proxy_ca)
    return made


def api_context(trust: Trust) -> ssl.SSLContext:
    """As ``context``, for what goes to the auth service: no proxy on the way may answer in its place."""
    return towards_the_cluster_itself(context(trust))


def spoken(trust: Trust | None) -> list[str]:
    """What the API's clients offer to speak: who knows the cluster's authority does not want the web's."""
    is_pinned = trust is not None and trust.proxy_ca is not None and _is_of_a_cluster(trust.proxy_ca)
    return [HOST, HTTP] if is_pinned else [HTTP]


def _is_of_a_cluster(pem: str) -> bool:
    """Whether an authority in *pem* is a cluster's own, not one that signed the proxy's web certificate."""
    for certificate in x509.load_pem_x509_certificates(pem.encode("ascii")):
        try:
            certificate.extensions.get_extension_for_oid(EXTENSION)
        except x509.ExtensionNotFound:
            continue
        return True
    return False


def unverified_context() -> ssl.SSLContext:
    """TLS that proves nothing: only for fetching an authority that a pin then judges."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made
