"""Builds the policies into one signed bundle; what is pushed beside it, ``gateway.policy.data`` makes.

The bundle has the root ``gateway``: the shipped policies and a team's own guards. Its number rises whenever
its content changes, and stands in the bundle's own data, so that every decision names it.
"""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from gateway.errors import PolicyError
from gateway.files import replace_private
from gateway.policy import document, signing
from gateway.policy.document import CONTRACT
from gateway.policy.opa import run
from gateway.schema import data_dir

SIGNING_ALGORITHM = signing.SIGNING_ALGORITHM
TEAM = "team"  # the folder of a bundle that holds the team's policies
# Where a team's own packages may live; anything else could change what the shipped ones decide.
_TEAM = re.compile(r"data\.gateway\.(guards|team)\.")
_STATE = "bundle.json"
_OTHER_OPA = "name another with opa.path, or leave it out: one is then found or installed"


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
    content = content_digest(shipped, team)
    last = _last(folder)
    number = last["number"] if last["content"] == content else last["number"] + 1
    bundle = build_bundle(opa, shipped, team, folder / "gateway.tar.gz", number, key)
    _remember(folder, number, content, bundle.revision)
    return bundle


def build_bundle(
    opa: Path, shipped: Path, team: Path | None, out: Path, number: int, key: EllipticCurvePrivateKey
) -> Bundle:
    """Build and sign one bundle under a given number.

    Raises:
        PolicyError: the policies do not compile, or the team's are where they may not be.
    """
    with tempfile.TemporaryDirectory() as name:
        unsigned = Path(name, "unsigned.tar.gz")
        revision = build_unsigned(opa, shipped, team, unsigned, number)
        signing.sign(opa, unsigned, out, key)
    return Bundle(out, revision, number, write_public_key(out.with_suffix(".pem"), key))


def build_unsigned(
    opa: Path,
    shipped: Path,
    team: Path | None,
    out: Path,
    number: int,
    *,
    roles: Mapping[str, Any] | None = None,
) -> str:
    """Build one bundle and sign nothing; its revision. The same input gives the same bytes.

    *roles* are the documents of a policy repository, by name; they travel in the bundle as
    ``gateway.repository.roles``, and decide nothing before they are stored.

    Raises:
        PolicyError: the policies do not compile, or the team's are where they may not be.
    """
    digest = content_digest(shipped, team, roles)
    revision = f"{number}-{digest[:12]}"
    with tempfile.TemporaryDirectory() as name:
        staging = Path(name, "bundle")
        _copy_policies(shipped / "gateway", staging / "gateway")
        packages: list[str] = []
        if team is not None and team.is_dir():
            _copy_policies(team, staging / TEAM)
            packages = check_places(opa, staging / TEAM)
        # Where there is no guard of the team's and none is switched on, no query looks for one.
        has_guards = any(package.startswith("data.gateway.guards.") for package in packages)
        _write(staging / "gateway" / "inventory" / "data.json", {"team_guards": has_guards})
        data = {"revision": revision, "number": number, "contract": CONTRACT}
        _write(staging / "gateway" / "bundle" / "data.json", data)
        if roles:
            _write(staging / "gateway" / "repository" / "data.json", {"roles": dict(roles)})
        metadata = {"number": number, "contract": CONTRACT, "library": content_digest(shipped, None)}
        _write(
            staging / ".manifest",
            {"revision": revision, "roots": ["gateway"], "rego_version": 1, "metadata": metadata},
        )
        _build(opa, staging, out)
    return revision


def sign(opa: Path, folder: Path, out: Path, key: EllipticCurvePrivateKey) -> None:
    """Compile *folder* as a bundle with only deterministic built-ins, and sign it.

    Raises:
        PolicyError: it does not compile; the message is OPA's.
    """
    with tempfile.TemporaryDirectory() as name:
        unsigned = Path(name, "unsigned.tar.gz")
        _build(opa, folder, unsigned)
        signing.sign(opa, unsigned, out, key)


def _build(opa: Path, folder: Path, out: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        allowed = Path(name, "capabilities.json")
        _write(allowed, capabilities(opa))
        # From inside the folder: else its own path would stand in the bundle, and change its digest.
        run(opa, "build", "--bundle", ".", "--capabilities", allowed, "--output", out.absolute(), cwd=folder)


def write_public_key(path: Path, key: EllipticCurvePrivateKey) -> Path:
    """The key that OPA verifies a bundle with, as a file."""
    path.write_bytes(signing.public_pem(key))
    return path


def capabilities(opa: Path) -> dict[str, Any]:
    """What a policy may use: whatever comes out the same tomorrow, so that a decision can be proved again."""
    try:
        value = json.loads(run(opa, "capabilities", "--current"))
    except ValueError:
        raise PolicyError(f"{opa} is no OPA: it does not say what it can do", hint=_OTHER_OPA) from None
    value["builtins"] = [builtin for builtin in value["builtins"] if not builtin.get("nondeterministic")]
    value["allow_net"] = []
    return dict(value)


def last_number(folder: Path) -> int:
    """The number of the last bundle made in *folder*; 0 when there is none."""
    return int(_last(folder)["number"])


def set_number(folder: Path, number: int) -> None:
    """Let the next bundle's number be above *number*, and above any that *folder* has seen."""
    _remember(folder, max(number, last_number(folder)), "")


def least_number(folder: Path, content: str) -> int:
    """The lowest number under which *content* may be published from *folder*."""
    last = _last(folder)
    number = int(last["number"])
    return number if last["content"] == content else number + 1


def agree_number(folder: Path, content: str, number: int) -> None:
    """Let the next bundle, of *content*, have the *number* that several nodes agreed on."""
    if number >= least_number(folder, content):
        _remember(folder, number, content)


def _remember(folder: Path, number: int, content: str, revision: str = "") -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = json.dumps({"number": number, "content": content, "revision": revision})
    replace_private(folder / _STATE, state.encode())


def _last(folder: Path) -> dict[str, Any]:
    try:
        value = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        return {"number": int(value["number"]), "content": str(value["content"])}
    except FileNotFoundError:
        return {"number": 0, "content": ""}
    except (OSError, ValueError, KeyError, TypeError) as error:
        # Starting again at one would let an older bundle pass for a newer one.
        raise PolicyError(f"{folder / _STATE}: the last bundle's number cannot be read") from error


def policies_in(folder: Path) -> list[Path]:
    """The Rego below *folder* but for tests and what lies in hidden folders."""
    return sorted(
        path
        for path in folder.rglob("*.rego")
        if not path.name.endswith("_test.rego")
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def content_digest(shipped: Path, team: Path | None, roles: Mapping[str, Any] | None = None) -> str:
    """Of every policy file's place and content, and of the roles."""
    whole = hashlib.sha256()
    for origin, folder in (("shipped", shipped / "gateway"), ("team", team)):
        if folder is not None and folder.is_dir():
            for path in policies_in(folder):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                whole.update(f"{origin}/{path.relative_to(folder)}\0{content}\n".encode())
    if roles:
        whole.update(document.encode(roles))
    return whole.hexdigest()


def _copy_policies(source: Path, target: Path) -> None:
    for path in policies_in(source):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    target.mkdir(parents=True, exist_ok=True)


def check_places(opa: Path, folder: Path) -> list[str]:
    """The team's packages; refused where they could change what the shipped ones decide.

    Raises:
        PolicyError: one is; or one does not parse.
    """
    if not policies_in(folder):
        return []
    inspected = json.loads(run(opa, "inspect", "--format", "json", ".", cwd=folder))
    packages = list(inspected.get("namespaces", {}))
    for package in packages:
        if _TEAM.match(package) is None:
            raise PolicyError(
                f"the team's policies have the package {package.removeprefix('data.')}",
                hint="a team's packages live under gateway.guards.<category>.<guard> or gateway.team.<name>",
            )
        if (guard := _shipped_guard(package)) is not None:
            sentence = f"{guard} is the name of a guard that is shipped; the team's policies have one, too"
            raise PolicyError(sentence, hint="rename it; a resource of kind guard switches the other on")
    return packages


def _shipped_guard(package: str) -> str | None:
    """The place of the shipped guard that *package* (``data.gateway.guards.a["b-c"]``) would add rules to."""
    named = package.replace('["', ".").replace('"]', "").removeprefix("data.gateway.guards.").split(".")
    guards = data_dir("policies") / "gateway" / "guards"
    return "/".join(named[:2]) if len(named) > 1 and guards.joinpath(*named[:2]).is_dir() else None


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
