"""TLS settings for every connection Regate accepts or opens; no key made here touches a disk.

Python's ssl module takes a key only from a path, so keys pass through anonymous memory files.
"""

import os
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from gateway.ca.identity import service_of
from gateway.ca.sign import MintedCertificate
from gateway.errors import CertificateError

HTTP = "http/1.1"
HOST = "regate-host"
"""Offered in ALPN, and never chosen, by clients that know the cluster's own authority: they are shown its
certificate even where the proxy has another one for the web."""


class Transport(Protocol):
    """What an event loop knows of a connection."""

    def get_extra_info(self, name: str, /) -> Any:
        """A fact of that name, or None."""
        ...


def server_context(
    certificate: MintedCertificate, client_authorities: str, *, alpn: Sequence[str] = ()
) -> ssl.SSLContext:
    """What a listener uses: client certificates are optional, and verified when one is shown.

    *client_authorities* is PEM text. Renegotiation, compression and tickets are off. Tickets off means that
    TLS 1.3 never resumes; TLS 1.2 can resume by session number, which Python cannot switch off: then the
    certificate is the one that was proven at first, so that its dates and the policy count as ever.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    context.options |= ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=client_authorities)
    _load(context, certificate)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def web_context(certificate_pem: str, key_pem: str, client_authorities: str) -> ssl.SSLContext:
    """What a listener shows to the web: an operator's certificate; else as ``server_context``."""
    minted = MintedCertificate(certificate_pem, key_pem)
    return server_context(minted, client_authorities, alpn=[HTTP])


def backend_context(
    server_authorities: str, certificate: MintedCertificate | None = None, *, alpn: Sequence[str] = ()
) -> ssl.SSLContext:
    """What the gateway uses towards a database: chain and host name are verified, always.

    The name must stand among the certificate's alternative names; the common name does not count. An
    intermediate authority may be given as the anchor.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    context.hostname_checks_common_name = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=server_authorities)
    if certificate is not None:
        _load(context, certificate)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def peer_certificate(transport: Transport | None) -> bytes | None:
    """What the other end of a connection showed, in DER; None where it showed nothing, or speaks no TLS."""
    tls = None if transport is None else transport.get_extra_info("ssl_object")
    found: bytes | None = None if tls is None else tls.getpeercert(binary_form=True)
    return found


def towards_the_cluster_itself(context: ssl.SSLContext) -> ssl.SSLContext:
    """*context*, which from now on refuses servers that show the certificate of a service that joined.

    A proxy's certificate is good for the name that people dial, and passwords, tokens and policies are none
    of its business: whoever speaks HTTP there is passed on to the auth service, whose certificate names none.
    """
    context.sslobject_class = _Object
    context.sslsocket_class = _Socket
    return context


class _Object(ssl.SSLObject):
    """What an event loop speaks TLS with."""

    def do_handshake(self) -> None:
        super().do_handshake()
        _refuse_services(self.getpeercert(binary_form=True))


class _Socket(ssl.SSLSocket):
    """What everybody else speaks TLS with."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 # as the base class has it
        super().do_handshake(block)
        _refuse_services(self.getpeercert(binary_form=True))


def _refuse_services(certificate: bytes | None) -> None:
    try:
        service = "" if certificate is None else service_of(certificate)
    except CertificateError as error:
        raise _unverified(str(error)) from error
    if service:
        raise _unverified(f"it shows the certificate of a {service} service, not of the cluster itself")


def _unverified(why: str) -> ssl.SSLCertVerificationError:
    refusal = ssl.SSLCertVerificationError(1, why)
    refusal.verify_message = why
    return refusal


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION


def _load(context: ssl.SSLContext, certificate: MintedCertificate) -> None:
    with _memory_file(certificate.cert_pem + certificate.key_pem) as path:
        context.load_cert_chain(path)


@contextmanager
def _memory_file(text: str) -> Iterator[str]:
    """A path to an anonymous file that only this process can reach and that is never on a disk."""
    descriptor = os.memfd_create("regate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, text.encode("ascii"))
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
