"""SCRAM-SHA-256, the client's half: RFC 5802 and RFC 7677, without channel binding.

The server's signature is verified: a server that does not know the password is not the server. Passwords that
need SASLprep's mapping are used as they are when they are ASCII, else normalised with NFKC.
"""

import base64
import binascii
import hashlib
import hmac
import unicodedata
from typing import Final

from gateway.errors import BackendError, ProtocolError

MECHANISM: Final = "SCRAM-SHA-256"
_HEADER: Final = "n,,"  # no channel binding, no authorisation identity
_ITERATIONS: Final = range(4096, 1_000_001)  # fewer is weak, more is a server that wants to stop this one


class ScramError(BackendError, ProtocolError):
    """The server broke the exchange, or does not know the password."""


class Scram:
    """One exchange: ``first``, then ``final`` with the server's first message, then ``verify``."""

    __slots__ = ("_bare", "_nonce", "_password", "_signature")

    def __init__(self, password: str, nonce: bytes, user: str = "") -> None:
        """*user* is empty where the server knows it already, as PostgreSQL does from the start-up packet."""
        prepared = password if password.isascii() else unicodedata.normalize("NFKC", password)
        self._password = prepared.encode()
        self._nonce = base64.b64encode(nonce).decode()
        self._bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={self._nonce}"
        self._signature = b""

    def first(self) -> bytes:
        """The client's first message."""
        return (_HEADER + self._bare).encode()

    def final(self, challenge: bytes) -> bytes:
        """The proof that answers *challenge*."""
        said = challenge.decode("ascii", "replace")
        values = _attributes(said)
        nonce = values.get("r", "")
        if not nonce.startswith(self._nonce) or nonce == self._nonce or "m" in values:
            raise ScramError("the server's SCRAM nonce does not continue ours")
        rounds = values.get("i", "")
        if not rounds.isdigit() or int(rounds) not in _ITERATIONS:
            raise ScramError("the server's SCRAM iteration count is out of bounds")
        salted = hashlib.pbkdf2_hmac("sha256", self._password, _decode(values.get("s", "")), int(rounds))
        client_key = _mac(salted, b"Client Key")
        unproved = f"c={base64.b64encode(_HEADER.encode()).decode()},r={nonce}"
        signed = f"{self._bare},{said},{unproved}".encode()
        client_signature = _mac(hashlib.sha256(client_key).digest(), signed)
        proof = bytes(a ^ b for a, b in zip(client_key, client_signature, strict=True))
        self._signature = _mac(_mac(salted, b"Server Key"), signed)
        return f"{unproved},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, outcome: bytes) -> None:
        """Raise unless the server has shown that it knows the password too."""
        values = _attributes(outcome.decode("ascii", "replace"))
        claimed = _decode(values.get("v", ""))
        if not self._signature or not hmac.compare_digest(claimed, self._signature):
            raise ScramError("the server's SCRAM signature is wrong: it does not know the password")


def _attributes(message: str) -> dict[str, str]:
    return {part[:1]: part[2:] for part in message.split(",") if part[1:2] == "="}


def _decode(value: str) -> bytes:
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ScramError("the server's SCRAM message is not base64") from error
    if not decoded:
        raise ScramError("the server's SCRAM message lacks a value")
    return decoded


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()
