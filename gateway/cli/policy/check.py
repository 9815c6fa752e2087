"""``regate policy check``: mistakes in resources, and names in them that nothing can match."""

import asyncio  # noqa: TID251
import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import output
from gateway.cli.options import config_option, examples, format_option
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from gateway.analysis.checking import Finding
    from gateway.analysis.world import Placed, World

_PLACE = re.compile(r"(.*?:\d+): (?:([\w.\[\]'-]+): )?(.*)\Z", re.DOTALL)


@click.command(
    epilog=examples(
        "regate policy check roles/*.yaml",
        "regate policy check .",
        "regate policy check roles/ --with=live --strict",
    )
)
@click.argument("paths", metavar="FILE…", nargs=-1, required=True)
@click.option(
    "--with",
    "source",
    metavar="SOURCE",
    default="",
    help="Look for users, roles and databases there too: a folder, a revision of git, or live.",
)
@click.option("--strict", is_flag=True, help="Let warnings fail too.")
@format_option
@config_option
@click.pass_context
def check(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    source: str,
    form: str,
    config: str,
    proxy: str,
    *,
    strict: bool,
) -> None:
    """Check resources, templates, and names that nothing can match.

    FILE is a file with resources, or a folder of such. Each is held against its schema, and its patterns,
    expressions and templates are judged by the policy, as when it is stored. A role that nobody has, a role
    or a trait that is not there, a label that no database carries and a role that opens no database are
    named where users and databases are known: those in the files, and those of --with. The exit code is 1
    when there are errors.
    """
    from gateway.cli.policy.sources import opened  # noqa: PLC0415 # slow to import

    found, placed = _read([Path(path) for path in paths])
    with opened(source, config, proxy) if source else contextlib.nullcontext() as other:
        found += asyncio.run(_judged(placed, other))
    found = sorted(set(found), key=lambda item: item.order)
    report = {
        "checked": len(placed),
        "errors": sum(item.is_error for item in found),
        "warnings": sum(not item.is_error for item in found),
        "findings": [_shown(item) for item in found],
    }
    output.show(report, form, lambda: _say(found, report))
    if report["errors"] or (strict and found):
        ctx.exit(1)


def _read(paths: Sequence[Path]) -> "tuple[list[Finding], list[Placed]]":
    """The resources of all files, and the mistakes that keep others from being read."""
    from gateway.analysis import world  # noqa: PLC0415 # slow to import
    from gateway.analysis.checking import Finding  # noqa: PLC0415

    found: list[Finding] = []
    placed: list[Placed] = []
    for path in [file for given in paths for file in _files(given)]:
        try:
            fresh = world.read_file(path)
        except ConfigError as error:
            found += _mistakes(str(error), path)
            continue
        for item in fresh:
            found += _warnings(item)
            found += _twice(item, placed)
            placed.append(item)
    if not placed and not found:  # a folder that was mistyped must not look as if it had been checked
        where = ", ".join(map(str, paths))
        found.append(Finding(is_error=False, where=where, path="", sentence="there are no resources here"))
    return found, placed


def _files(path: Path) -> list[Path]:
    from gateway.analysis import world  # noqa: PLC0415 # slow to import

    if path.is_dir():
        return list(world.resource_files(path))
    if not path.exists():
        raise ConfigError(f"there is no file {path}", hint="give files with resources, or folders of such")
    return [path]


def _mistakes(text: str, path: Path) -> "Iterator[Finding]":
    from gateway.analysis.checking import Finding  # noqa: PLC0415 # slow to import

    for line in text.splitlines():
        parts = _PLACE.match(line)
        if parts is None:
            yield Finding(is_error=True, where=str(path), path="", sentence=line)
        else:
            yield Finding(is_error=True, where=parts[1], path=parts[2] or "", sentence=parts[3])


def _warnings(item: "Placed") -> "Iterator[Finding]":
    """What the schema says is accepted and has no effect."""
    from gateway.analysis.checking import Finding  # noqa: PLC0415 # slow to import

    for line in item.source.warnings if item.source is not None else ():
        parts = _PLACE.match(line)
        assert parts is not None, "a warning says where it is"
        yield Finding(is_error=False, where=parts[1], path=parts[2] or "", sentence=parts[3])


def _twice(item: "Placed", known: "Sequence[Placed]") -> "Iterator[Finding]":
    from gateway.analysis.checking import at  # noqa: PLC0415 # slow to import

    for other in known:
        if (other.kind, other.name) == (item.kind, item.name):
            sentence = f"the {item.kind} {item.name!r} stands in {other.where()} already"
            yield at(item, "metadata.name", sentence, is_error=True)


async def _judged(placed: "Sequence[Placed]", other: "World | None") -> "list[Finding]":
    """What the policy says of each document, and what nothing matches."""
    from gateway.analysis.checking import at, unmatched  # noqa: PLC0415 # slow to import
    from gateway.analysis.world import World  # noqa: PLC0415
    from gateway.cli.policy.asking import asking  # noqa: PLC0415
    from gateway.schema import data_dir  # noqa: PLC0415

    library = World(data_dir("policies"), None, ()) if other is None else other
    names = {(item.kind, item.name) for item in placed}
    kept = tuple(item for item in library.placed if (item.kind, item.name) not in names)
    whole = World(library.shipped, library.team, (*placed, *kept))
    found = list(unmatched(placed, whole))
    async with asking(World(library.shipped, library.team, ())) as asker:
        bad = set()
        for item in placed:
            if item.kind not in {"role", "lock", "guard"}:
                continue
            for problem in await asker.problems(item.document):
                is_error = problem.severity == "error"
                bad |= {item.name} if is_error else set()
                found.append(at(item, problem.path, problem.message, is_error=is_error))
        if whole.of("db"):
            good = [item for item in placed if item.kind == "role" and item.name not in bad]
            found += [finding async for finding in _blind(asker, good, whole)]
    return found


async def _blind(asker: Any, roles: "Sequence[Placed]", whole: "World") -> Any:
    """Roles that list database users and open no database at all, whoever has them."""
    from gateway.analysis.checking import at  # noqa: PLC0415 # slow to import

    granting = [role for role in roles if (role.document["spec"].get("allow") or {}).get("db_labels")]
    if granting:
        seen = await asker.sees(granting, whole)
        for role in granting:
            if not seen[role.name]:
                yield at(role, "spec.allow.db_labels", "no database matches this role")


def _shown(item: "Finding") -> dict[str, Any]:
    return {
        "severity": "error" if item.is_error else "warning",
        "where": item.where,
        "path": item.path,
        "message": item.sentence,
    }


def _say(found: "Sequence[Finding]", report: dict[str, Any]) -> None:
    for item in found:
        click.echo(output.clean(item.text()))
    click.echo(f"{report['checked']} resources, {report['errors']} errors, {report['warnings']} warnings")
