"""Policies that another service built: taken with the cluster's signature, and with no other."""

import base64
import tarfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.errors import PolicyError
from gateway.policy import install, publish, signing
from gateway.policy.adopt import adopt
from gateway.schema import data_dir

pytestmark = pytest.mark.opa


def told(folder: Path, key: ec.EllipticCurvePrivateKey, shown: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    """A bundle signed with *key*, told with the public half of *shown*."""
    opa = install.ensure_opa()
    bundle = publish.build_bundle(opa, data_dir("policies"), None, folder / "built.tar.gz", 7, key)
    return {
        "revision": bundle.revision,
        "number": bundle.number,
        "bundle": base64.b64encode(bundle.path.read_bytes()).decode(),
        "key": signing.public_pem(shown).decode(),
    }


def test_a_bundle_keeps_its_content_and_gets_another_signature(tmp_path: Path) -> None:
    cluster, own = signing.new_key(), signing.new_key()
    arrived = told(tmp_path, cluster, cluster)
    made = adopt(install.ensure_opa(), arrived, tmp_path / "own", own)
    assert (made.revision, made.number) == (arrived["revision"], 7)
    assert made.verification_key.read_bytes() == signing.public_pem(own)
    with tarfile.open(tmp_path / "built.tar.gz") as before, tarfile.open(made.path) as after:
        assert sorted(after.getnames()) == sorted(before.getnames())


def test_a_bundle_that_the_cluster_did_not_sign_is_refused(tmp_path: Path) -> None:
    arrived = told(tmp_path, signing.new_key(), signing.new_key())
    with pytest.raises(PolicyError):
        adopt(install.ensure_opa(), arrived, tmp_path / "own", signing.new_key())


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="not a bundle"):
        adopt(install.ensure_opa(), {"revision": "x"}, tmp_path, signing.new_key())
