"""Takes over policies that another service built and signed: verified first, then signed for this one's OPA.

One OPA verifies with one key, and the bundle that guards its own API is each service's own.
"""

from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from gateway.errors import PolicyError
from gateway.policy import opa as opa_program
from gateway.policy import publish, signing
from gateway.policy.publish import Bundle

ARRIVED = "arrived.tar.gz"
"""The bundle that was adopted last, in its folder, as the cluster signed it."""


def adopt(opa: Path, told: Mapping[str, Any], folder: Path, key: EllipticCurvePrivateKey) -> Bundle:
    """The bundle in *told*, signed with *key*.

    *told* has ``revision``, ``number``, ``bundle`` in base64, and the cluster's ``key`` in PEM.

    Raises:
        PolicyError: it is not signed with the key that came along, or does not compile.
    """
    try:
        revision, number = str(told["revision"]), int(told["number"])
        signed, theirs = b64decode(told["bundle"], validate=True), str(told["key"])
    except (KeyError, ValueError, TypeError) as error:
        raise PolicyError("the policies that arrived are not a bundle") from error
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    arrived, verification_key = folder / ARRIVED, folder / "cluster.pem"
    arrived.write_bytes(signed)
    verification_key.write_text(theirs, encoding="ascii")
    out = folder / f"policy-{number}.tar.gz"
    _verify(opa, arrived, verification_key, folder / "verified.tar.gz")
    signing.sign(opa, arrived, out, key)
    return Bundle(out, revision, number, publish.write_public_key(out.with_suffix(".pem"), key))


def _verify(opa: Path, bundle: Path, key: Path, scratch: Path) -> None:
    """OPA refuses to build from a bundle whose signature is not that of *key*, or that has none."""
    opa_program.run(
        opa, "build", "--bundle", bundle, "--verification-key", key,
        "--signing-alg", signing.SIGNING_ALGORITHM, "--output", scratch,
    )  # fmt: skip
    scratch.unlink()
