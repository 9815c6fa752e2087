"""How ``regate policy diff`` prints what it found."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from gateway.cli import output
from gateway.cli.policy.tables import spreadsheet

_COLUMNS: Final = (
    "change", "user", "database", "db_user", "db_name", "what", "roles", "source", "times", "why",
)  # fmt: skip
_SIGNS: Final = {"gains": "+", "loosens": "+", "loses": "-", "tightens": "-"}
_TELLING: Final = {
    "gains": "gains",
    "loses": "loses",
    "loosens": "is held to less",
    "tightens": "is held to more",
}
_MOST_ROWS: Final = 200  # of a table in Markdown: a comment on a pull request has its limits

Report = Mapping[str, Any]
Row = Mapping[str, Any]


def show(report: Report, form: str) -> None:
    """*report* in the form that was asked for."""
    if form == "csv":
        click.echo(spreadsheet(_COLUMNS, _cells(report)), nl=False)
    elif form == "markdown":
        click.echo("\n".join(_markdown(report)))
    else:
        output.show(dict(report), form, lambda: _say(report))


def _cells(report: Report) -> list[Row]:
    acts = [{**row, "source": "enumerated", "times": "", "why": ""} for row in report["changes"]]
    return acts + [{**row, "what": row["statement"], "roles": []} for row in report["statements"]["changes"]]


def _say(report: Report) -> None:
    for (change, user, database, db_user, db_name), acts in _grouped(report["changes"]).items():
        where = f"{_SIGNS[change]} {user} {change} on {database} as {db_user} to {db_name}:"
        click.echo(output.clean(f"{where} {', '.join(acts)}"))
    for row in report["statements"]["changes"]:
        click.echo(output.clean(_line(row)))
    click.echo("; ".join(_counts(report)))
    for note in report["not_enumerated"]:
        click.echo(output.clean(f"not enumerated: {note}"), err=not sys.stdout.isatty())


def _line(row: Row) -> str:
    where = f"on {row['database']} as {row['db_user']} to {row['db_name']}"
    told = f"{_SIGNS[row['change']]} {row['user']} {_TELLING[row['change']]} {where}: {row['statement']}"
    return f"{told} ({row['why']}; {_times(row)})"


def _times(row: Row) -> str:
    if row["source"] != "recorded":
        return str(row["source"])
    return "recorded once" if row["times"] == 1 else f"recorded {row['times']} times"


def _counts(report: Report) -> list[str]:
    changes, statements = report["changes"], report["statements"]
    gains = sum(row["change"] == "gains" for row in changes)
    told = [f"{gains} gained, {len(changes) - gains} lost"]
    for source, of in (("recorded", f" of {statements['recorded']}"), ("made up", "")):
        kinds = [row["change"] for row in statements["changes"] if row["source"] == source]
        if kinds or (of and statements["recorded"]):
            allowed, refused = kinds.count("gains"), kinds.count("loses")
            told.append(
                f"statements {source}{of}: {refused} newly refused, {allowed} newly allowed, "
                f"{len(kinds) - allowed - refused} with other obligations"
            )
    return told


def _grouped(found: Sequence[Row]) -> dict[tuple[str, ...], list[str]]:
    """What changed on each route, one line a route."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for row in found:
        key = tuple(str(row[name]) for name in _COLUMNS[:5])
        groups.setdefault(key, []).append(row["what"])
    return groups


def _markdown(report: Report) -> list[str]:
    groups, statements = _grouped(report["changes"]), report["statements"]["changes"]
    gains = sum(row["change"] == "gains" for row in report["changes"])
    head = "**Access widens.**" if report["widened"] else "Nothing widens."
    lines = [f"### Access: {gains} gained, {len(report['changes']) - gains} lost", "", head, ""]
    whole = [[*route, "<br>".join(acts)] for route, acts in groups.items()]
    lines += _table(("", "user", "database", "as", "to", "what"), whole, "routes")
    if statements:
        keys = ("change", "user", "database", "db_user", "db_name", "statement", "why")
        told = [[*(str(row[key]) for key in keys), _times(row)] for row in statements]
        headings = ("", "user", "database", "as", "to", "statement", "why", "seen")
        lines += ["", "### Statements", "", *_table(headings, told, "statements")]
    lines += ["", *(_escaped(count) for count in _counts(report)[1:])]
    return [*lines, "", *(f"* not enumerated: {_escaped(note)}" for note in report["not_enumerated"])]


def _table(headings: Sequence[str], cells: Sequence[Sequence[str]], what: str) -> list[str]:
    if not cells:
        return []
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    lines += ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in cells[:_MOST_ROWS]]
    if len(cells) > _MOST_ROWS:
        lines.append(f"\nand {len(cells) - _MOST_ROWS} more {what}")
    return lines


def _escaped(text: str) -> str:
    """Names and statements come from other people: no new cells, no lines, no markup."""
    kept = output.clean(text).replace("\n", " ").replace("\r", " ")
    kept = kept.replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`")
    return kept.replace("<br>", "\0").replace("<", "&lt;").replace("\0", "<br>")
