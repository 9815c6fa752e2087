"""``regate policy init``: a policy repository to begin with, which passes its own checks."""

import shutil
from pathlib import Path

import click

from gateway.cli import output
from gateway.cli.options import examples, format_option
from gateway.errors import ConflictError
from gateway.schema import data_dir

# Files whose names would mean something where they are kept.
_NAMES = {
    "gitignore": ".gitignore",
    "pre-commit-config.yaml": ".pre-commit-config.yaml",
    "regal.yaml": ".regal.yaml",
}
_FOLDERS = {"github": Path(".github", "workflows")}


@click.command(epilog=examples("regate policy init", "regate policy init our-policies"))
@click.argument("folder", default=".")
@format_option
def init(folder: str, form: str) -> None:
    """Write a policy repository: roles, a guard, tests, data for them, a CI workflow.

    FOLDER is made if it is not there. A file that is there already is never written over.
    """
    source, root = data_dir("opa") / "repository", Path(folder)
    files = {_target(path.relative_to(source)): path for path in sorted(source.rglob("*")) if path.is_file()}
    if root.exists() and not root.is_dir():
        raise ConflictError(f"{root} is a file", hint="name a folder; it is made where there is none")
    there = [str(inside) for inside in files if (root / inside).exists()]
    if there:
        raise ConflictError(f"{root / there[0]} is there already", hint="begin in an empty folder")
    for inside, path in files.items():
        (root / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, root / inside)
    (root / "ci.sh").chmod(0o755)

    def text() -> None:
        for inside in sorted(files):
            click.echo(str(root / inside))
        click.echo("\nNext: regate policy test" + ("" if folder == "." else f" {folder}"))

    output.show({"folder": str(root), "files": [str(inside) for inside in sorted(files)]}, form, text)


def _target(inside: Path) -> Path:
    if inside.parts[0] in _FOLDERS:
        return _FOLDERS[inside.parts[0]].joinpath(*inside.parts[1:])
    return inside.with_name(_NAMES.get(inside.name, inside.name))
