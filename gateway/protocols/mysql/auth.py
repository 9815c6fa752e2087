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


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


ANSWERS: Final[dict[str, Callable[[bytes, bytes], bytes]]] = {NATIVE: native, SHA2: sha2}
"""The methods by name: secret and salt to answer."""
