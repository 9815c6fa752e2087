"""Which bundles may take effect; each row of the table is one that may not."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from gateway.errors import AccessError, ConfigError, RegateError
from gateway.policy import admission, publish, signing
from gateway.schema import data_dir
from tests.policy import documents

pytestmark = pytest.mark.opa

GUARD = """package gateway.guards.schema.no_drop

deny contains {"code": "drop_refused"} if {
	some statement in input.request.statements
	some effect in statement.effects
	effect.operation == "drop"
}
"""
Change = Callable[[dict[str, bytes]], None]


@pytest.fixture(scope="module")
def team_key() -> EllipticCurvePrivateKey:
    return signing.new_key()


@pytest.fixture(scope="module")
def built(opa: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("team")
    (folder / "guards").mkdir()
    (folder / "guards" / "no_drop.rego").write_text(GUARD)
    roles = {"analyst": documents.role("analyst", documents.ANALYST)}
    publish.build_unsigned(opa, data_dir("policies"), folder, folder / "b.tar.gz", 5, roles=roles)
    return (folder / "b.tar.gz").read_bytes()


def _signed(opa: Path, folder: Path, content: bytes, key: EllipticCurvePrivateKey) -> bytes:
    (folder / "s.tar.gz").write_bytes(content)
    signing.sign(opa, folder / "s.tar.gz", folder / "s.tar.gz", key)
    return (folder / "s.tar.gz").read_bytes()


def _files(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        found = [(member.name, archive.extractfile(member)) for member in archive]
        return {name: stream.read() for name, stream in found if stream is not None}


def _packed(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb") as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def test_a_signed_bundle_is_admitted_with_its_roles(
    opa: Path, built: bytes, team_key: EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    content = _signed(opa, tmp_path, built, team_key)
    other = signing.new_key()
    found = admission.admit(opa, content, [other.public_key(), team_key.public_key()])
    assert (found.number, found.revision.partition("-")[0]) == (5, "5")
    assert list(found.roles) == ["analyst"]
    assert found.signer == admission.fingerprint(team_key.public_key())
    assert found.warnings == ()


def _manifest(**changes: object) -> Change:
    def change(files: dict[str, bytes]) -> None:
        manifest = json.loads(files["/.manifest"])
        manifest["metadata"].update(changes)
        files["/.manifest"] = json.dumps(manifest).encode()

    return change


def _with(name: str, text: str) -> Change:
    def change(files: dict[str, bytes]) -> None:
        files[name] = text.encode()

    return change


def _data(files: dict[str, bytes]) -> None:
    files["/data.json"] = files["/data.json"].replace(b'"number":5', b'"number":6')


# Changed before it is signed: the signature is good, what was signed is not.
UNFIT: dict[str, tuple[Change, str]] = {
    "speaks another contract": (_manifest(contract=99), "contract 99"),
    "has no number": (_manifest(number="5"), "manifest"),
    "has another number in its data": (_data, "disagree"),
    "does not parse": (
        _with("/team/guards/bad.rego", "package gateway.guards.a.bad\n\ndeny := := 1\n"),
        "guards/bad.rego:3",
    ),
    "does not compile": (
        _with("/team/guards/bad.rego", "package gateway.guards.a.bad\n\ndeny contains x if y\n"),
        "guards/bad.rego:3",
    ),
    "reads a field that no question has": (
        _with(
            "/team/guards/bad.rego",
            'package gateway.guards.a.bad\n\ndeny contains "x" if input.session.usr == "x"\n',
        ),
        "guards/bad.rego:3",
    ),
    "asks the network": (
        _with(
            "/team/guards/bad.rego",
            'package gateway.guards.a.bad\n\ndeny contains x if x := http.send({"url": ""})\n',
        ),
        "http.send",
    ),
    "changes what the library decides": (
        _with("/team/lax.rego", "package gateway.connect\n\nlax := true\n"),
        "package gateway.connect",
    ),
    "lies outside of its root": (_with("/other/x.rego", "package other\n\nx := 1\n"), "root"),
    "climbs out of its folder": (_with("/../x.rego", "package gateway.team.x\n\nx := 1\n"), "none"),
}


@pytest.mark.parametrize("why", UNFIT)
def test_a_bundle_is_refused_that(
    why: str, opa: Path, built: bytes, team_key: EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    change, words = UNFIT[why]
    files = _files(built)
    change(files)
    token = json.dumps({"signatures": [_token_over(opa, tmp_path, files, team_key)]}).encode()
    content = _packed({"/.signatures.json": token, **files})
    with pytest.raises(ConfigError) as caught:
        admission.admit(opa, content, [team_key.public_key()])
    assert words in f"{caught.value} {caught.value.hint}"
    assert str(tmp_path) not in str(caught.value)


def _token_over(opa: Path, folder: Path, files: dict[str, bytes], key: EllipticCurvePrivateKey) -> str:
    """A good signature; where OPA would not even sign it, one over what it would."""
    (folder / "u.tar.gz").write_bytes(_packed(files))
    try:
        signing.sign(opa, folder / "u.tar.gz", folder / "u.tar.gz", key)
    except RegateError:
        plain = {name: content for name, content in files.items() if name.startswith(("/gateway", "/data"))}
        (folder / "u.tar.gz").write_bytes(_packed({**plain, "/.manifest": files["/.manifest"]}))
        signing.sign(opa, folder / "u.tar.gz", folder / "u.tar.gz", key)
    token: str = json.loads(_files((folder / "u.tar.gz").read_bytes())["/.signatures.json"])["signatures"][0]
    return token


def _tampered(files: dict[str, bytes]) -> None:
    name = "/gateway/connect/connect.rego"
    files[name] = files[name].replace(b"default _visible := false", b"default _visible := true ")


def _more(files: dict[str, bytes]) -> None:
    files["/gateway/more.rego"] = b"package gateway.more\n\nx := 1\n"


def _fewer(files: dict[str, bytes]) -> None:
    del files["/team/guards/no_drop.rego"]


def _roles(files: dict[str, bytes]) -> None:
    files["/data.json"] = files["/data.json"].replace(b"SELECT", b"DELETE")


def _unsigned(files: dict[str, bytes]) -> None:
    del files["/.signatures.json"]


def _cut_signature(files: dict[str, bytes]) -> None:
    files["/.signatures.json"] = files["/.signatures.json"][:-8] + b'AAAA"]}'


FORGED: dict[str, Change] = {
    "a changed policy": _tampered,
    "a file more": _more,
    "a guard less": _fewer,
    "changed roles": _roles,
    "another number": _manifest(number=6),
    "no signature": _unsigned,
    "a signature that is none": _with("/.signatures.json", '{"signatures": ["a.b.c"]}'),
    "two signatures": _with("/.signatures.json", '{"signatures": ["a.b.c", "a.b.c"]}'),
    "an empty signature": _with("/.signatures.json", '{"signatures": []}'),
    "a changed signature": _cut_signature,
    "no algorithm": _with("/.signatures.json", '{"signatures": ["eyJhbGciOiJub25lIn0.e30."]}'),
}


@pytest.mark.parametrize("why", FORGED)
def test_a_forged_bundle_is_refused_that_has(
    why: str, opa: Path, built: bytes, team_key: EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    files = _files(_signed(opa, tmp_path, built, team_key))
    FORGED[why](files)
    with pytest.raises((AccessError, ConfigError)) as caught:
        admission.admit(opa, _packed(files), [team_key.public_key()])
    if isinstance(caught.value, AccessError):
        assert caught.value.code == "signature_refused"


def test_a_strangers_signature_and_no_key_at_all_are_refused(
    opa: Path, built: bytes, team_key: EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    content = _signed(opa, tmp_path, built, signing.new_key())
    for keys in ([team_key.public_key()], []):
        with pytest.raises(AccessError) as caught:
            admission.admit(opa, content, keys)
        assert caught.value.code == "signature_refused"


@pytest.mark.parametrize("content", [b"", b"nothing", gzip.compress(b"x" * 1000), b"\x1f\x8b" + b"\0" * 50])
def test_what_is_no_archive_is_refused(opa: Path, content: bytes, team_key: EllipticCurvePrivateKey) -> None:
    with pytest.raises(ConfigError):
        admission.admit(opa, content, [team_key.public_key()])


def test_an_archive_that_unfolds_without_end_is_refused(
    opa: Path, team_key: EllipticCurvePrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MAX_UNPACKED", 1_000_000)
    with pytest.raises(ConfigError, match="unfolds to more"):
        admission.admit(opa, _packed({"/data.json": b" " * 2_000_000}), [team_key.public_key()])
