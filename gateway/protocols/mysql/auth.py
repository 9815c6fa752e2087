"""How the gateway proves a secret that it holds to a database server.

``mysql_native_password`` and ``caching_sha2_password`` answer a salt with a hash; ``client_ed25519`` of
MariaDB signs it. Nothing here sends a secret in clear; the one method that wants it so (the full exchange of
``caching_sha2_password``) is in ``login``, inside verified TLS.
"""

import hashlib
from collections.abc import Callable
from typing import Final

from gateway.protocols.mysql.greeting import NATIVE

SHA2: Final = "caching_sha2_password"
ED25519: Final = "client_ed25519"
SIGNED: Final = 32  # bytes of the salt that it signs


def native(secret: bytes, salt: bytes) -> bytes:
    """SHA1(secret) xor SHA1(salt + SHA1(SHA1(secret)))."""
    first = hashlib.sha1(secret).digest()  # noqa: S324 -- the method's own
    again = hashlib.sha1(first).digest()  # noqa: S324 -- the method's own
    return _xor(first, hashlib.sha1(salt + again).digest())  # noqa: S324 -- the method's own


def sha2(secret: bytes, salt: bytes) -> bytes:
    """SHA256(secret) xor SHA256(SHA256(SHA256(secret)) + salt)."""
    first = hashlib.sha256(secret).digest()
    again = hashlib.sha256(first).digest()
    return _xor(first, hashlib.sha256(again + salt).digest())


def ed25519(secret: bytes, salt: bytes) -> bytes:
    """A signature of *salt* as in RFC 8032, section 5.1.6.

    The key is the SHA-512 of the secret, of whatever length, where the RFC has a seed of 32 bytes.
    """
    from nacl import bindings  # noqa: PLC0415 -- libsodium is loaded where a server asks for this

    def reduced(data: bytes) -> bytes:
        return bytes(bindings.crypto_core_ed25519_scalar_reduce(hashlib.sha512(data).digest()))

    key = hashlib.sha512(secret).digest()
    scalar = bytes((key[0] & 0xF8, *key[1:31], key[31] & 0x7F | 0x40))
    public = bindings.crypto_scalarmult_ed25519_base_noclamp(scalar)
    nonce = reduced(key[32:] + salt)
    point = bindings.crypto_scalarmult_ed25519_base_noclamp(nonce)
    challenge = reduced(point + public + salt)
    product = bindings.crypto_core_ed25519_scalar_mul(challenge, scalar)
    return bytes(point + bindings.crypto_core_ed25519_scalar_add(product, nonce))


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


ANSWERS: Final[dict[str, Callable[[bytes, bytes], bytes]]] = {NATIVE: native, SHA2: sha2, ED25519: ed25519}
"""The methods by name: secret and salt to answer."""
