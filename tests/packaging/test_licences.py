"""What is installed with the program may be used as the program itself may."""

import re
from importlib import metadata
from pathlib import Path

LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
_COPYLEFT = re.compile(r"\b(?:A|L)?GPL|GNU|SSPL|BUSL|Commons Clause", re.IGNORECASE)


def _locked() -> list[str]:
    return re.findall(r"^([A-Za-z0-9._-]+)==", LOCK.read_text(encoding="utf-8"), re.MULTILINE)


def _licence(name: str) -> str:
    """All that a package says of its licence, apart from the licence's text."""
    about = metadata.metadata(name).json
    short = str(about.get("license", ""))
    said = [
        about.get("license_expression", ""),
        *about.get("classifier", []),
        short if len(short) < 100 else "",
    ]
    return " ".join(str(item) for item in said if item)


def _installed() -> dict[str, str]:
    found = {}
    for name in _locked():
        try:
            found[name] = _licence(name)
        except metadata.PackageNotFoundError:  # for another platform or Python
            continue
    return found


def test_no_copyleft_is_installed_with_the_program() -> None:
    found = _installed()
    assert len(found) > 20
    assert {name: said for name, said in found.items() if _COPYLEFT.search(said)} == {}


def test_a_copyleft_licence_would_be_noticed() -> None:
    assert _COPYLEFT.search(_licence("psycopg"))  # a driver that the tests use, and nothing else


def test_every_package_is_locked_with_its_digests() -> None:
    text = LOCK.read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[A-Za-z0-9._-]+==)", text, flags=re.MULTILINE)[1:]
    assert [block.split("==")[0] for block in blocks if "--hash=sha256:" not in block] == []
