"""Builds the policies into one signed bundle, and the documents into the data that is pushed beside it.

The bundle has the root ``gateway``: the shipped policies and a team's own guards. Its number rises whenever
its content changes, and stands in the bundle's own data, so that every decision names it.
"""

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gateway.errors import PolicyError
from gateway.policy.document import CONTRACT

SIGNING_ALGORITHM = "ES256"
_BUILD_SECONDS = 60
# Where a team's own packages may live; anything else could change what the shipped ones decide.
_TEAM = re.compile(r"data\.gateway\.(guards|team)\.")
_STATE = "bundle.json"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A signed bundle on disk: decisions name its ``revision``; ``number`` rises with each new content."""

    path: Path
    revision: str
    number: int
    verification_key: Path


def publish(
    opa: Path, shipped: Path, team: Path | None, folder: Path, key: EllipticCurvePrivateKey
) -> Bundle:
    """Build the bundle in *folder*, under the next number if its content is not the last one's.

    Raises:
        PolicyError: the policies do not compile, or the last number is not readable.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = _digest(shipped, team)
    last = _last(folder)
    number = last["number"] if last["content"] == content else last["number"] + 1
    bundle = build_bundle(opa, shipped, team, folder / "gateway.tar.gz", number, key)
    state = json.dumps({"number": number, "content": content, "revision": bundle.revision})
    temporary = folder / f"{_STATE}.new"
    temporary.write_text(state, encoding="utf-8")
    temporary.replace(folder / _STATE)
    return bundle


def build_bundle(
    opa: Path, shipped: Path, team: Path | None, out: Path, number: int, key: EllipticCurvePrivateKey
) -> Bundle:
    """Build and sign one bundle under a given number.

    Raises:
        PolicyError: the policies do not compile, or the team's are where they may not be.
    """
    revision = f"{number}-{_digest(shipped, team)[:12]}"
    with tempfile.TemporaryDirectory() as name:
        staging = Path(name)
        _copy_policies(shipped / "gateway", staging / "bundle" / "gateway")
        if team is not None and team.is_dir():
            _copy_policies(team, staging / "team")
            _check_team(opa, staging / "team")
            (staging / "team").rename(staging / "bundle" / "team")
        data = {"revision": revision, "number": number, "contract": CONTRACT}
        _write(staging / "bundle" / "gateway" / "bundle" / "data.json", data)
        _write(
            staging / "bundle" / ".manifest",
            {"revision": revision, "roots": ["gateway"], "rego_version": 1, "metadata": {"number": number}},
        )
        sign(opa, staging / "bundle", out, key)
    return Bundle(out, revision, number, write_public_key(out.with_suffix(".pem"), key))


def sign(opa: Path, folder: Path, out: Path, key: EllipticCurvePrivateKey) -> None:
    """Compile *folder* as a bundle with only deterministic built-ins, and sign it.

    Raises:
        PolicyError: it does not compile; the message is OPA's.
    """
    with tempfile.TemporaryDirectory() as name:
        private = Path(name, "key.pem")
        private.touch(mode=0o600)
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
        allowed = Path(name, "capabilities.json")
        _write(allowed, capabilities(opa))
        built = Path(name, "built.tar.gz")
        _run(
            [
                opa,
                "build",
                "--bundle",
                folder,
                "--capabilities",
                allowed,
                "--output",
                built,
                "--signing-key",
                private,
                "--signing-alg",
                SIGNING_ALGORITHM,
            ]
        )
        out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy(built, f"{out}.new")
        Path(f"{out}.new").replace(out)


def write_public_key(path: Path, key: EllipticCurvePrivateKey) -> Path:
    """The key that OPA verifies a bundle with, as a file."""
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def capabilities(opa: Path) -> dict[str, Any]:
    """What a policy may use: whatever comes out the same tomorrow, so that a decision can be proved again."""
    value = json.loads(_run([opa, "capabilities", "--current"]))
    value["builtins"] = [builtin for builtin in value["builtins"] if not builtin.get("nondeterministic")]
    value["allow_net"] = []
    return dict(value)


def build_data(
    roles: Iterable[Mapping[str, Any]],
    users: Iterable[Mapping[str, Any]],
    locks: Iterable[Mapping[str, Any]],
    databases: Iterable[Mapping[str, Any]],
    revision: int,
) -> dict[str, Any]:
    """The data document, from resources as they are stored. ``Sidecar.push`` adds the index.

    The index is made by the policy itself (``gateway.prepare``): what a role's selectors mean is written in
    Rego and nowhere else.
    """
    return {
        "data_revision": revision,
        "roles": {_name(role): dict(role) for role in roles},
        "users": {_name(user): _user(user) for user in users},
        "locks": [dict(lock) for lock in locks],
        "databases": {_name(database): _database(database) for database in databases},
    }


def _name(resource: Mapping[str, Any]) -> str:
    name = resource["metadata"]["name"]
    assert isinstance(name, str)
    return name


def _user(user: Mapping[str, Any]) -> dict[str, Any]:
    spec = user.get("spec", {})
    return {
        "roles": list(spec.get("roles", ())),
        "traits": {trait: list(values) for trait, values in (spec.get("traits") or {}).items()},
        "locked": spec.get("locked", False) is not False,
    }


def _database(database: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "protocol": database.get("spec", {}).get("protocol", ""),
        "labels": dict(database.get("metadata", {}).get("labels") or {}),
    }


def _last(folder: Path) -> dict[str, Any]:
    try:
        value = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        return {"number": int(value["number"]), "content": str(value["content"])}
    except FileNotFoundError:
        return {"number": 0, "content": ""}
    except (OSError, ValueError, KeyError, TypeError) as error:
        # Starting again at one would let an older bundle pass for a newer one.
        raise PolicyError(f"{folder / _STATE}: the last bundle's number cannot be read") from error


def _policies(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.rego") if not path.name.endswith("_test.rego"))


def _digest(shipped: Path, team: Path | None) -> str:
    """Of every policy file's place and content."""
    whole = hashlib.sha256()
    for origin, folder in (("shipped", shipped / "gateway"), ("team", team)):
        if folder is not None and folder.is_dir():
            for path in _policies(folder):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                whole.update(f"{origin}/{path.relative_to(folder)}\0{content}\n".encode())
    return whole.hexdigest()


def _copy_policies(source: Path, target: Path) -> None:
    for path in _policies(source):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    target.mkdir(parents=True, exist_ok=True)


def _check_team(opa: Path, folder: Path) -> None:
    if not _policies(folder):
        return
    inspected = json.loads(_run([opa, "inspect", "--format", "json", folder]))
    for package in inspected.get("namespaces", {}):
        if _TEAM.match(package) is None:
            raise PolicyError(
                f"policy.dir has the package {package.removeprefix('data.')}",
                hint="a team's packages live under gateway.guards.<category>.<guard> or gateway.team.<name>",
            )


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def _run(command: list[Any]) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # opa, with arguments of our own
            command, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PolicyError(f"opa {command[1]} could not be run: {error}") from error
    if done.returncode != 0:
        raise PolicyError(f"opa {command[1]}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout
