"""``regate policy fmt`` and ``regate policy lint``: form, types against the shipped schemas, and regal."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from gateway.cli import output
from gateway.cli.failures import FindingError
from gateway.cli.options import examples, format_option
from gateway.cli.policy import repository
from gateway.cli.policy.repository import Repository
from gateway.errors import PolicyError
from gateway.policy import opa, publish
from gateway.policy.install import ensure_opa, ensure_regal
from gateway.schema import data_dir


@click.command(epilog=examples("regate policy fmt", "regate policy fmt --check"))
@click.argument("folder", default=".")
@click.option("--check", is_flag=True, help="Change nothing; exit code 10 when a file would change.")
def fmt(folder: str, *, check: bool) -> None:
    """Bring the Rego of a policy repository into the one form that there is."""
    here = repository.at(folder)
    program = ensure_opa()
    changed = []
    for path in here.rego():
        text = path.read_text(encoding="utf-8")
        formed = opa.run(program, "fmt", path)
        if formed != text:
            changed.append(str(path.relative_to(here.root)))
            if not check:
                path.write_text(formed, encoding="utf-8")
    for name in changed:
        click.echo(name)
    if changed and check:
        raise FindingError(f"{len(changed)} files are not in form", hint="run: regate policy fmt")


@click.command(epilog=examples("regate policy lint", "regate policy lint --no-regal our-policies"))
@click.argument("folder", default=".")
@click.option("--regal/--no-regal", default=True, help="Also run regal, the linter for Rego.")
@format_option
def lint(folder: str, form: str, *, regal: bool) -> None:
    """Look for mistakes in roles and Rego.

    Fields that no schema has, built-ins that are not deterministic, packages in the wrong place, Rego
    that reads badly.
    """
    here = repository.at(folder)
    found = list(findings(here, regal=regal))

    def text() -> None:
        for line in found:
            click.echo(output.clean(line))
        if not found:
            click.echo("nothing to object to")

    output.show({"findings": found}, form, text)
    if found:
        raise FindingError(f"{len(found)} findings")


def findings(here: Repository, *, regal: bool) -> Iterator[str]:
    """Everything that is wrong, each with its file and line; a ConfigError for bad YAML."""
    here.roles()
    here.data()
    program = ensure_opa()
    with repository.assembled(here, program) as folder:
        mistakes = list(_checked(program, folder))
        yield from mistakes or _misplaced(program, here)
        if regal:
            yield from _linted(here)


def _checked(program: Path, folder: Path) -> Iterator[str]:
    """What ``opa check`` finds: with the schemas, so that a misspelt field of the input is a mistake."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as allowed:
        json.dump(publish.capabilities(program), allowed)
        allowed.flush()
        done = opa.attempt(
            program, "check", "--strict", "--format=json", "--capabilities", allowed.name,
            "--schema", data_dir("schemas"), ".", cwd=folder,
        )  # fmt: skip
    if done.returncode == 0:
        return
    try:
        mistakes = json.loads(done.stderr or done.stdout)["errors"]
    except (ValueError, KeyError):
        yield (done.stderr or done.stdout).strip()
        return
    for item in mistakes:
        where = item.get("location") or {}
        place = f"{where.get('file', '').removeprefix('./')}:{where.get('row', 0)}: "
        yield f"{place}{item.get('code', 'rego_error')}: {item.get('message', '').partition(chr(10))[0]}"


def _misplaced(program: Path, here: Repository) -> Iterator[str]:
    """Packages that could change what the shipped ones decide."""
    with tempfile.TemporaryDirectory() as name:
        for path in here.rego():
            if not path.name.endswith("_test.rego"):
                target = Path(name) / path.relative_to(here.root)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        try:
            publish.check_places(program, Path(name))
        except PolicyError as error:
            yield f"{error}: {error.hint}" if error.hint else str(error)


def _linted(here: Repository) -> Iterator[str]:
    own = here.root / ".regal.yaml"
    config = own if own.is_file() else data_dir("opa") / "repository" / "regal.yaml"
    done = opa.attempt(
        ensure_regal(), "lint", "--format=json", "--config-file", config.absolute(), ".", cwd=here.root
    )
    try:
        violations = json.loads(done.stdout)["violations"]
    except (ValueError, KeyError):
        yield f"regal: {(done.stderr or done.stdout).strip()}"
        return
    for item in violations:
        where, rule = item["location"], f"{item['category']}/{item['title']}"
        yield f"{where['file'].removeprefix('./')}:{where['row']}: {rule}: {item['description']}"
