"""What the pages say is there is there: commands with their options, files, tests, links."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from gateway.cli.main import cli

ROOT = Path(__file__).resolve().parent.parent
WRITTEN_BY_A_PROGRAM = ROOT / "docs" / "reference" / "cli.md"
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page != WRITTEN_BY_A_PROGRAM),
]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
_FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(
    r"(?:gateway|tests|docs|policies|schemas|opa|examples|benchmarks|demo|deploy)/[\w./-]*\w/?"
)
_TEST = re.compile(r"\btest_\w+")
_CUT = re.compile(r"[;|&>#…]| {2,}")  # what ends a command on a line


def _said(page: Path) -> Iterator[str]:
    """Each line of code on a page, with the lines that a backslash continues."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for block in _FENCE.findall(text):
        yield from block.splitlines()
    for span in _INLINE.findall(_FENCE.sub("", text)):
        yield " ".join(span.split())


def _commands(page: Path) -> Iterator[list[str]]:
    """The words behind ``regate`` wherever a page has it as a command."""
    for line in _said(page):
        found = re.search(r"(?:^|[$(] ?)regate ((?:--?)?[a-z].*)", line)
        if found is None:
            continue
        text = _CUT.split(found[1])[0]
        try:
            yield shlex.split(text)
        except ValueError:  # a quote that goes on in another line
            yield text.split()


def _refusal(words: list[str]) -> str:
    """Why the program would not know these words; empty where it would."""
    command: click.Command = cli
    context = click.Context(cli)
    for at, word in enumerate(words):
        if word == "--":
            break
        if word.startswith("-"):
            known = {
                name for item in command.get_params(context) for name in (*item.opts, *item.secondary_opts)
            }
            if word.partition("=")[0] not in known | {"-h"}:
                return f"{' '.join(words[:at]) or 'regate'} has no {word}"
        elif isinstance(command, click.Group) and re.fullmatch(r"[a-z-]+", word):
            inner = command.get_command(context, word)
            if inner is None:
                return f"{' '.join(words[:at]) or 'regate'} has no command {word}"
            command = inner
    return ""


@cache
def _tests() -> frozenset[str]:
    files = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "policies").rglob("*_test.rego")]
    return frozenset(
        name for file in files for name in (file.stem, *_TEST.findall(file.read_text(encoding="utf-8")))
    )


def test_a_command_that_is_none_is_noticed() -> None:
    assert _refusal(["db", "ls", "--format=json"]) == ""
    assert _refusal(["db", "lst"]) == "db has no command lst"
    assert _refusal(["users", "add", "x", "--rolls=a"]) == "users add x has no --rolls=a"


def test_the_pages_are_full_of_commands() -> None:
    assert sum(1 for page in PAGES for _ in _commands(page)) > 200


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_each_command_on_a_page_is_one(page: Path) -> None:
    assert [reason for words in _commands(page) if (reason := _refusal(words))] == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_each_link_on_a_page_leads_somewhere(page: Path) -> None:
    targets = (link.partition("#")[0] for link in _LINK.findall(page.read_text(encoding="utf-8")))
    wanted = [target for target in targets if target and "://" not in target and "mailto:" not in target]
    assert [target for target in wanted if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_each_file_and_test_named_on_a_page_is_there(page: Path) -> None:
    # Spans within a sentence: what stands in blocks is often another repository's.
    code = _INLINE.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    paths = {match[0] for span in code if (match := _PATH.match(span)) is not None}
    tests = {name for span in code for name in _TEST.findall(span) if span.startswith(("test_", "tests/"))}
    assert sorted(path for path in paths if not list(ROOT.glob(f"{path}*"))) == []
    assert sorted(tests - _tests()) == []


def test_each_attack_on_the_threat_model_names_its_test() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row[0].strip() not in {"part", "attack"}]
    assert len(rows) > 30
    for *_, tests in rows:
        named = set(_TEST.findall(tests))
        assert named, tests
        assert named <= _tests()


def test_each_folder_of_the_program_is_on_the_architecture_page() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = ROOT / "gateway"
    folders = {module.parent.relative_to(package).as_posix() for module in package.rglob("*.py")} - {"."}
    within = {folder for folder in folders if not folder.startswith("auth/store/")}  # the migrations' form
    assert len(within) > 20
    assert sorted(folder for folder in within if f"`{folder}`" not in page) == []


def test_each_decision_is_listed() -> None:
    folder = ROOT / "docs" / "adr"
    listed = set(_LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    assert {path.name for path in folder.glob("[0-9]*.md")} - listed == set()
