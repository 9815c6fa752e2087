"""The bundle that says who may ask OPA what; it knows the token only by its digest."""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from gateway.policy import publish
from gateway.schema import data_dir


def build(opa: Path, token: str, key: EllipticCurvePrivateKey, out: Path) -> None:
    """Write it to *out*, signed with *key*. Blocks; PolicyError when OPA cannot build it."""
    with tempfile.TemporaryDirectory() as name:
        staging = Path(name)
        shutil.copyfile(data_dir("opa") / "authz" / "authz.rego", staging / "authz.rego")
        digest = {"token_sha256": hashlib.sha256(token.encode("ascii")).hexdigest()}
        place = staging / "system" / "authz" / "supervisor"
        place.mkdir(parents=True)
        (place / "data.json").write_text(json.dumps(digest), encoding="utf-8")
        manifest = {"roots": ["system/authz"], "rego_version": 1}
        (staging / ".manifest").write_text(json.dumps(manifest), encoding="utf-8")
        publish.sign(opa, staging, out, key)
