"""What the analysis commands print besides text: CSV for auditors and spreadsheets."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from gateway.cli import output

F = TypeVar("F", bound=Callable[..., Any])


def table_format_option(function: F) -> F:
    """``--format=text|json|yaml|csv``."""
    return click.option(
        "-f",
        "--format",
        "form",
        type=click.Choice((*output.FORMATS, "csv")),
        default="text",
        show_default=True,
        help="How to print.",
    )(function)


def source_option(function: F) -> F:
    """``--policy``: which policies are asked."""
    return click.option(
        "--policy",
        "source",
        metavar="SOURCE",
        default="live",
        show_default=True,
        help="The policies to ask: a folder, a revision of git, or live for the cluster.",
    )(function)


def spreadsheet(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """*rows* as CSV, with its head."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row[name]) for name in columns] for row in rows)
    return out.getvalue()


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], form: str) -> None:
    """*rows* in the form that was asked for."""
    if form == "csv":
        click.echo(spreadsheet(columns, rows), nl=False)
        return
    cells = [[_plain(row[name]) for name in columns] for row in rows]
    headings = [name.replace("_", " ").capitalize() for name in columns]
    output.show([dict(row) for row in rows], form, lambda: output.table(headings, cells))


def _plain(value: Any) -> str:
    return "; ".join(str(item) for item in value) if isinstance(value, list) else str(value)


def _cell(value: Any) -> str:
    """A value for a spreadsheet, which must not take it for a formula."""
    text = output.clean("; ".join(value) if isinstance(value, list) else str(value))
    return f"'{text}" if text[:1] in {"=", "+", "-", "@"} else text
