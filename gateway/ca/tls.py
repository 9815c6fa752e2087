"""TLS settings for every connection Regate accepts or opens; no key made here touches a disk.

Python's ssl module takes a key only from a path, so keys pass through anonymous memory files.
"""

import os
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gateway.ca.sign import MintedCertificate

HTTP = "http/1.1"
HOST = "regate-host"
"""Offered in ALPN, and never chosen, by clients that know the cluster's own authority: they are shown its
certificate even where the proxy has another one for the web."""


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
