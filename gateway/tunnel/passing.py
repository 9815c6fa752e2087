"""The words ahead of a connection that a proxy passes on to the auth service: from whom it comes. Pure.

The proxy signs the client's address with the key of its host certificate, together with a digest of the TLS
ClientHello that follows. So the words are good for that one TLS connection: whoever repeats them in front of
another one is refused, and who repeats the ClientHello too has not the keys to finish its handshake.
"""

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from gateway.ca.identity import from_chain
from gateway.errors import CertificateError, ProtocolError
from gateway.model.identity import Identity, Use

_MAGIC = b"VIA-REGATE/1 "
FIRST_BYTE = _MAGIC[0]
HEAD = len(_MAGIC) + 4
MAX_BODY = 8 * 1024
MAX_HELLO = 16 * 1024 + 5
GOOD_FOR = timedelta(seconds=60)
_TLS_RECORD = 0x16


@dataclass(frozen=True, slots=True)
class Passed:
    """What a proxy says: *address* is the client's, *hello* the digest of the next *size* bytes."""

    proxy: Identity
    address: str
    hello: str
    size: int

    def is_about(self, hello: bytes) -> bool:
        """True for the bytes that the words are about."""
        return len(hello) == self.size and hello[0] == _TLS_RECORD and _digest(hello) == self.hello


def words(address: str, hello: bytes, *, certificate_pem: str, key_pem: str, now: datetime) -> bytes:
    """What goes ahead of a connection from *address* that begins with *hello*."""
    key = load_pem_private_key(key_pem.encode("ascii"), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError("a service's key is of another kind")
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode("ascii"))
    said = {"address": address, "hello": _digest(hello), "size": len(hello), "time": now.isoformat()}
    signature = key.sign(_signed(said), ec.ECDSA(hashes.SHA256()))
    shown = {
        **said,
        "certificate": b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii"),
        "signature": b64encode(signature).decode("ascii"),
    }
    body = json.dumps(shown).encode("ascii")
    return _MAGIC + len(body).to_bytes(4) + body


def length_of(head: bytes) -> int:
    """How many bytes follow the first ``HEAD``; ProtocolError when that is no beginning."""
    size = int.from_bytes(head[len(_MAGIC) :])
    if not head.startswith(_MAGIC) or not 0 < size <= MAX_BODY:
        raise ProtocolError("the connection opens with what is no introduction")
    return size


def read(body: bytes, issuers: Sequence[x509.Certificate], now: datetime) -> Passed:
    """What the words say; a CertificateError unless a proxy of this cluster said so just now."""
    try:
        said = json.loads(body)
        der, signature = _bytes(said, "certificate"), _bytes(said, "signature")
        said = {name: said[name] for name in ("address", "hello", "size", "time")}
        moment = datetime.fromisoformat(said["time"])
        shaped = isinstance(said["address"], str) and type(said["size"]) is int and moment.tzinfo is not None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CertificateError("the introduction cannot be read") from error
    if not shaped or not 0 < said["size"] <= MAX_HELLO or len(said["address"]) > 64:
        raise CertificateError("the introduction cannot be read")
    proxy = from_chain(der, *issuers, uses=(Use.HOST,), now=now)
    if proxy.service != "proxy":
        raise CertificateError(f"a {proxy.service or 'cluster'} service passes no connections on")
    public = x509.load_der_x509_certificate(der).public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise CertificateError("a service's key is of another kind")
    try:
        public.verify(signature, _signed(said), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise CertificateError("the introduction was not signed by the proxy that it names") from error
    if abs(now - moment) > GOOD_FOR:
        raise CertificateError("the introduction is not of this minute: are the clocks right?")
    return Passed(proxy, said["address"], said["hello"], said["size"])


def _bytes(said: Any, name: str) -> bytes:
    return b64decode(said[name], validate=True)


def _signed(said: dict[str, Any]) -> bytes:
    return b"regate passes on\0" + json.dumps(said, sort_keys=True).encode("ascii")


def _digest(hello: bytes) -> str:
    return hashlib.sha256(hello).hexdigest()
