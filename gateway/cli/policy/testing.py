"""``regate policy test``: the team's tests against the shipped library, and whether they reach every line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli import output
from gateway.cli.failures import FindingError
from gateway.cli.options import examples, format_option
from gateway.cli.policy import repository
from gateway.errors import ConfigError
from gateway.policy import opa
from gateway.policy.install import ensure_opa


@click.command("test", epilog=examples("regate policy test", "regate policy test our-policies --coverage=90"))
@click.argument("folder", default=".")
@click.option("--run", "only", default="", metavar="REGEX", help="Only tests whose name matches.")
@click.option(
    "--coverage",
    type=click.IntRange(0, 100),
    default=100,
    show_default=True,
    help="Percent of the team's lines that the tests must reach; 0 for any. Not looked at with --run.",
)
@format_option
def test(folder: str, only: str, coverage: int, form: str) -> None:
    """Run the tests of a policy repository.

    Exit code 10 when one fails, or when they do not reach enough lines.
    """
    found = run(repository.at(folder), only=only)
    output.show(found, form, lambda: _say(found))
    if found["failed"]:
        raise FindingError(f"{found['failed']} of {len(found['tests'])} tests failed")
    if not found["tests"]:
        raise FindingError("there is no test", hint="a test is a rule test_… in a file …_test.rego")
    if not only and found["coverage"] < coverage:
        raise FindingError(f"the tests reach {found['coverage']:g} % of the lines, not {coverage} %")


def run(here: repository.Repository, *, only: str = "") -> dict[str, Any]:
    """Each test with its outcome, and the team's lines that none reaches; a ConfigError for bad Rego."""
    program = ensure_opa()
    with repository.assembled(here, program) as folder:
        more = ("--run", only) if only else ()
        done = opa.attempt(program, "test", "--format=json", "--verbose", *more, ".", cwd=folder)
        tests = _json(done.stdout, done.stderr)
        covered: dict[str, Any] = {}
        if all(_outcome(item) == "passed" for item in tests):
            measured = opa.attempt(program, "test", "--coverage", "--format=json", *more, ".", cwd=folder)
            covered = _json(measured.stdout, measured.stderr)
    own = {str(path.relative_to(here.root)) for path in here.rego() if not path.name.endswith("_test.rego")}
    return _summary(tests, covered, own)


def _say(found: Mapping[str, Any]) -> None:
    for item in found["tests"]:
        if item["outcome"] != "passed":
            click.echo(f"{item['file']}:{item['line']}: {item['name']}: {item['outcome']}")
            for line in item["output"].splitlines():
                click.echo(f"    {output.clean(line)}")
    for name, lines in found["not_covered"].items():
        for line in lines:
            click.echo(f"{name}:{line}: no test gets here")
    click.echo(f"{found['passed']} passed, {found['failed']} failed, coverage {found['coverage']:g} %")


def _json(text: str, errors: str) -> Any:
    try:
        value = json.loads(text) if text.strip() else []
    except ValueError as error:
        raise ConfigError(f"opa test: {(errors or text).strip()}") from error
    if isinstance(value, dict) and value.get("errors"):
        raise ConfigError("\n".join(_mistake(item) for item in value["errors"]))
    if not value and errors.strip():
        raise ConfigError(f"opa test: {errors.strip()}")
    return value


def _mistake(error: dict[str, Any]) -> str:
    where = error.get("location") or {}
    place = f"{_short(where['file'])}:{where.get('row', 0)}: " if where.get("file") else ""
    return f"{place}{error.get('code', 'rego_error')}: {error.get('message', '')}"


def _summary(tests: list[dict[str, Any]], covered: dict[str, Any], own: set[str]) -> dict[str, Any]:
    items = [
        {
            "name": f"{item['package'].removeprefix('data.')}.{item['name']}",
            "file": _short(item["location"]["file"]),
            "line": item["location"]["row"],
            "outcome": _outcome(item),
            "output": _said(item),
        }
        for item in tests
    ]
    failed = sum(item["outcome"] not in {"passed", "skipped"} for item in items)
    missing = {
        _short(name): [
            line
            for part in report["not_covered"]
            for line in range(part["start"]["row"], part["end"]["row"] + 1)
        ]
        for name, report in covered.get("files", {}).items()
        if _short(name) in own and report.get("not_covered")
    }
    reached = sum(
        part["end"]["row"] - part["start"]["row"] + 1
        for name, report in covered.get("files", {}).items()
        if _short(name) in own
        for part in report.get("covered", ())
    )
    lost = sum(map(len, missing.values()))
    return {
        "passed": sum(item["outcome"] == "passed" for item in items),
        "failed": failed,
        "coverage": round(100 * reached / (reached + lost), 1)
        if reached + lost
        else (0.0 if failed else 100.0),
        "not_covered": missing,
        "tests": items,
    }


def _outcome(item: dict[str, Any]) -> str:
    if item.get("error"):
        return "error"
    return "failed" if item.get("fail") else "skipped" if item.get("skip") else "passed"


def _said(item: dict[str, Any]) -> str:
    error = item.get("error")
    message = error.get("message", "") if isinstance(error, dict) else ""
    return "\n".join(part for part in (message, _decoded(item.get("output", ""))) if part)


def _decoded(output_: str) -> str:
    import base64  # noqa: PLC0415 # only where a test printed something

    try:
        return base64.b64decode(output_).decode("utf-8", "replace")
    except ValueError:
        return output_


def _short(name: str) -> str:
    return str(Path(name)).removeprefix("./")
