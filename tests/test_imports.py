"""The direction of imports, as docs/architecture.md draws it: an arrow that turns fails here."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gateway"

# What everybody may import: they know nothing about the parts.
FLOOR = frozenset({"errors", "clock"})
# Small leaves beside the parts: they stand on the floor, on each other, and on the values.
LEAVES = frozenset(
    {
        "model",
        "schema",
        "mistakes",
        "document",
        "address",
        "files",
        "ranges",
        "observe",
        "storage",
        "supply",
        "texts",
    }
)
BELOW: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "clock": frozenset(),
    "model": frozenset(),
    "mistakes": frozenset(),
    "address": frozenset(),
    "files": frozenset(),
    "ranges": frozenset(),
    "schema": frozenset(),
    "storage": frozenset({"address"}),
    "supply": frozenset({"address"}),
    "texts": frozenset(),
    "document": frozenset({"schema", "mistakes"}),
    "observe": frozenset({"model"}),
    "sansio": frozenset({"model"}),
    "classify": frozenset({"model"}),
    "protocols": frozenset({"model", "sansio", "classify", "address"}),
    "policy": LEAVES | {"sansio"},
    "audit": LEAVES,
    "ca": LEAVES,
    "config": LEAVES,
    "config_checks": LEAVES | {"config"},
    "config_file": LEAVES | {"config", "config_checks"},
    "transport": LEAVES | {"sansio"},
    "session": LEAVES | {"sansio", "transport", "protocols", "classify", "policy", "audit", "ca", "config"},
    "auth": LEAVES | {"policy", "audit", "ca", "config"},
}
# What commands work out without a session; it judges by the same parts as one.
BELOW["analysis"] = LEAVES | {"sansio", "protocols", "classify", "policy", "audit", "config", "auth"}
BELOW["workers"] = BELOW["session"] | {"session"}
BELOW["tunnel"] = BELOW["session"] | {"session"}
BELOW["api"] = LEAVES | {"policy", "audit", "ca", "config", "auth"}
BELOW["services"] = frozenset(BELOW) - {"services"}
BELOW["cli"] = frozenset(BELOW)

# The edge: everywhere else ruff refuses asyncio, and this test sees that nobody waved it through.
ASYNC = (
    "transport/",
    "session/",
    "tunnel/",
    "services/",
    "workers/",
    "api/",
    "cli/",
    "policy/client",
    "policy/sidecar/",
    "policy/offline",
    "audit/log",
    "audit/outstanding",
    "auth/store/",
)
# What only the edge may touch besides asyncio.
NETWORK = frozenset({"asyncio", "uvloop", "aiohttp", "socket"})
_NAME = re.compile(r"`([a-z_]+)`")


@dataclass(frozen=True, slots=True)
class Import:
    """One import in one module; ``line`` leads a reader there."""

    module: Path
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.name}"


def imports(path: Path, name: Path) -> Iterator[Import]:
    """Each absolute import in *path*, wherever it stands: in a function or under TYPE_CHECKING counts too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        match node:
            case ast.Import(names=names):
                yield from (Import(name, node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module="gateway", names=names, level=0):
                yield from (Import(name, node.lineno, f"gateway.{alias.name}") for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield Import(name, node.lineno, module)
            case ast.ImportFrom():
                yield Import(name, node.lineno, "a relative name")
            case _:
                pass


def part(dotted: str) -> str:
    """The part of Regate that a dotted name belongs to; empty when it is not Regate's."""
    head, _, rest = dotted.partition(".")
    return rest.partition(".")[0] if head == "gateway" else ""


def own_part(name: Path) -> str:
    return name.parts[0].removesuffix(".py")


def wrong_arrows(found: list[Import]) -> list[str]:
    wrong = []
    for item in found:
        here, there = own_part(item.module), part(item.name)
        if item.name == "a relative name" or (
            there and there != here and there not in FLOOR | BELOW.get(here, frozenset())
        ):
            wrong.append(str(item))
    return wrong


def is_at_the_edge(name: Path) -> bool:
    return name.as_posix().startswith(ASYNC)


@pytest.fixture(scope="module")
def found() -> list[Import]:
    return [
        item for path in sorted(PACKAGE.rglob("*.py")) for item in imports(path, path.relative_to(PACKAGE))
    ]


def test_every_part_has_its_place_in_the_table() -> None:
    parts = {own_part(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert parts - set(BELOW) == set()


def test_the_table_has_no_circle() -> None:
    done: set[str] = set()
    while ready := {name for name, below in BELOW.items() if name not in done and below - {name} <= done}:
        done |= ready
    assert set(BELOW) - done == set()


def drawn() -> dict[str, frozenset[str]]:
    """The table of docs/architecture.md: each part, and what it may import."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| `")]
    table: dict[str, frozenset[str]] = {}
    for parts, _, allowed in (row for row in rows if len(row) == 3):
        names = frozenset(_NAME.findall(allowed))
        if "the leaves" in allowed:
            names |= LEAVES
        if "all that `session` may" in allowed:
            names |= table["session"]
        if "everything" in allowed:
            names = frozenset(BELOW) - names
        table |= dict.fromkeys(_NAME.findall(parts), names)
    return table


def test_the_architecture_page_draws_the_same() -> None:
    table = drawn()
    assert set(table) == set(BELOW) - FLOOR
    shared = LEAVES - {"model"}  # one row for all of them
    wrong = {name for name in set(table) - shared if (table[name] ^ BELOW[name]) - FLOOR - {name}}
    assert wrong == set()


def test_imports_point_one_way(found: list[Import]) -> None:
    assert len(found) > 0
    assert wrong_arrows(found) == []


def test_asyncio_is_imported_at_the_edge_only(found: list[Import]) -> None:
    wrong = [str(item) for item in found if item.name.partition(".")[0] == "asyncio"]
    assert [line for line in wrong if not is_at_the_edge(Path(line.split(":")[0]))] == []


def test_code_that_knows_a_wire_format_does_no_io(found: list[Import]) -> None:
    pure = ("model/", "sansio/", "protocols/", "classify/")
    assert [
        str(item)
        for item in found
        if item.module.as_posix().startswith(pure) and item.name.partition(".")[0] in NETWORK
    ] == []


@pytest.mark.parametrize(
    ("module", "text", "is_wrong"),
    [
        ("model/event.py", "from gateway.errors import RegateError", False),
        ("model/event.py", "from gateway.sansio import flow", True),
        ("auth/login.py", "import gateway.session.live", True),
        ("session/live.py", "from gateway import auth", True),
        ("session/live.py", "def late():\n    from gateway.auth import login", True),
        ("protocols/postgres/messages.py", "from gateway.sansio.reader import Reader", False),
        ("api/users.py", "from gateway.services import run", True),
        ("cli/start.py", "from gateway.services import run", False),
        ("policy/client.py", "from . import answer", True),
    ],
)
def test_a_turned_arrow_is_seen(module: str, text: str, *, is_wrong: bool, tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(text)
    assert bool(wrong_arrows(list(imports(path, Path(module))))) is is_wrong
