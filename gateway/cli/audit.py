"""``regate audit``: what happened, and whether the record of it is whole."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from gateway.cli import channel, output, sealed
from gateway.cli.failures import FindingError
from gateway.cli.options import config_option, duration, examples, format_option
from gateway.cli.proving import prove
from gateway.clock import SystemClock, utc
from gateway.errors import ConfigError

VERIFY_SECONDS = 3600.0  # the whole log is read
_MOST = 64 * 1024  # bytes of a checkpoint
_NARROW = 100  # characters of a statement that a line of text shows


@click.group()
def audit() -> None:
    """Read and verify the audit log."""


def moment(value: str) -> str:
    """A time as people give one: ``2026-01-31T12:00:00Z``, ``2026-01-31``, or how long ago (``2h``)."""
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        try:
            found = utc(SystemClock()) - timedelta(seconds=duration(value))
        except click.BadParameter:
            expected = "a time, as in 2026-01-31 or 2026-01-31T12:00:00Z, or how long ago, as in 7d or 2h"
            raise click.BadParameter(f"{value!r} is not understood; give {expected}") from None
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    return f"{aware.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


@audit.command(
    epilog=examples(
        "regate audit ls --user=alice",
        "regate audit ls --db=my-postgres --since=2h --kind=db.session.query",
        "regate audit ls --format=json | jq 'select(.kind == \"db.session.denied\")'",
        "regate audit ls --user=alice --identity-file=auditor.key",
    )
)
@click.option("--user", default="", help="Only of this user.")
@click.option("--db", "database", default="", help="Only of this database.")
@click.option("--kind", default="", help="Only events of this kind, as in db.session.query.")
@click.option("--session", default="", help="Only of this session id.")
@click.option("--origin", default="", help="Only of this log: its name, or its service's; . for the own.")
@click.option("--text", default="", help="Only where this text stands in the record.")
@click.option("--since", type=moment, default=None, metavar="TIME", help="A time, or how long ago (2h).")
@click.option("--until", type=moment, default=None, metavar="TIME", help="A time, or how long ago.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="The latest so many.")
@click.option("--all", "everything", is_flag=True, help="No limit.")
@click.option(
    "--identity-file",
    "identity",
    metavar="FILE",
    default="",
    help="An auditor's secret key: opens sealed statements, here and nowhere else.",
)
@format_option
@config_option
def ls(
    form: str, config: str, proxy: str, limit: int, identity: str, *, everything: bool, **filters: str | None
) -> None:
    """List events, the oldest first; --format=json prints one on each line."""
    query = {**filters, **({"order": "oldest"} if everything else {"limit": limit})}
    found = channel.admin(config, proxy).lines("/v1/audit", query)
    if identity:
        found = sealed.opened(found, Path(identity))
    records = found if everything else reversed(list(found))
    if form == "json":
        for record in records:
            click.echo(json.dumps(record, ensure_ascii=True, separators=(",", ":")))
        return
    if form == "yaml":
        for record in records:
            click.echo("---")
            output.show(record, "yaml", lambda: None)
        return
    rows = [_row(record) for record in records]
    headings = ("Time", "Kind", "User", "Database", "Verdict", "What", "Origin")
    output.table(headings, rows)


@audit.command(
    epilog=examples(
        "regate audit verify",
        "regate audit verify --checkpoint=kept.txt",
        "regate audit verify --dir=/mnt/copy/audit --key=audit.pem --checkpoint=kept.txt",
    )
)
@click.option(
    "--checkpoint",
    "kept",
    metavar="FILE",
    default="",
    help="A checkpoint that was kept elsewhere; - for stdin.",
)
@click.option("--dir", "directory", metavar="DIR", default="", help="Read this folder; ask no service.")
@click.option("--key", metavar="FILE", default="", help="The log's public key in PEM; goes with --dir.")
@format_option
@config_option
def verify(form: str, config: str, proxy: str, kept: str, directory: str, key: str) -> None:
    """Check that no record was changed, removed, added or moved; the exit code says so too.

    A checkpoint that was kept elsewhere (regate audit checkpoint) also tells when the whole log was replaced.
    """
    if bool(directory) != bool(key):
        raise click.UsageError("--dir and --key go together")
    note = _kept(kept) if kept else b""
    with output.working("Reading the whole log"):
        report = _local(directory, key, note) if directory else _remote(config, proxy, note)

    def text() -> None:
        for line in _verdict(report):
            click.echo(line)

    output.show(report, form, text)
    if not report["ok"]:
        raise _not_whole(report)


@audit.command(
    epilog=examples('regate audit settle my-agent --reason="the disk was replaced, ticket 4711"'),
)
@click.argument("origin")
@click.option("--reason", required=True, help="Why it is all right; recorded with your name.")
@config_option
def settle(origin: str, reason: str, config: str, proxy: str) -> None:
    """Say that what was found about another service's log so far was looked at.

    A restart, a fork or a silence is a finding of regate audit verify until then, and a warning from then on.
    A record that is missing or was changed stays a finding. ORIGIN is the log's name or its service's.
    """
    answer = channel.admin(config, proxy).post("/v1/audit/settle", {"origin": origin, "reason": reason})
    click.echo(f"Settled for {output.clean(str(answer['origin']))}; the log says so.")


@audit.command(epilog=examples("regate audit checkpoint > kept.txt"))
@config_option
def checkpoint(config: str, proxy: str) -> None:
    """Print the newest signed checkpoint, to be kept where nobody who could change the log can.

    It pins everything that was recorded so far: regate audit verify --checkpoint=FILE.
    """
    click.echo(channel.admin(config, proxy).get("/v1/audit/checkpoint")["checkpoint"], nl=False)


audit.add_command(prove)
audit.add_command(sealed.keygen)
audit.add_command(sealed.digest)


def _kept(path: str) -> bytes:
    try:
        with click.open_file(path, "rb") as stream:
            found: bytes = stream.read(_MOST)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    if not found:
        raise ConfigError(f"{path} is empty", hint="write one with: regate audit checkpoint")
    return found


def _local(directory: str, key: str, kept: bytes) -> dict[str, Any]:
    from gateway.cli import offline  # noqa: PLC0415 # cryptography is slow to import

    return offline.report(Path(directory), Path(key), kept)


def _remote(config: str, proxy: str, kept: bytes) -> dict[str, Any]:
    api = channel.admin(config, proxy, timeout=VERIFY_SECONDS)
    if kept:
        return dict(api.post("/v1/audit/verify", {"checkpoint": kept.decode("utf-8", "replace")}))
    return dict(api.get("/v1/audit/verify"))


def _row(record: Mapping[str, Any]) -> tuple[str, ...]:
    fields: Mapping[str, Any] = record.get("fields", {})
    what = " ".join(str(_what(fields)).split())
    return (
        str(record.get("time", ""))[:19].replace("T", " "),
        str(record.get("kind", "")),
        str(fields.get("user", "")),
        str(fields.get("database", "")),
        str(fields.get("verdict", fields.get("outcome", ""))),
        what if len(what) <= _NARROW else what[: _NARROW - 1] + "…",
        str(record.get("origin", "")),
    )


def _what(fields: Mapping[str, Any]) -> str:
    """The one thing about an event that says most: the statement, how it ended, or what was changed."""
    if fields.get("statement"):
        return str(fields["statement"])
    if "duration_ns" in fields and "executed" in fields:
        count = fields.get("rows")
        rows = "" if count is None else f"{count} row{'' if count == 1 else 's'}, "
        error = f", error {fields['error_code']}" if fields.get("error_code") else ""
        return f"{rows}{int(fields['duration_ns']) / 1e6:.1f} ms{error}"
    if fields.get("verdict") == "denied" and fields.get("reasons"):
        return str(fields["reasons"][0].get("code", ""))
    if fields.get("name"):
        return f"{fields.get('kind', 'user')} {fields['name']}"
    return next(
        (str(fields[name]) for name in ("message", "reason", "use", "db_user") if fields.get(name)), ""
    )


def _verdict(report: Mapping[str, Any]) -> Iterator[str]:
    """What is said about each log; a copy that is read without a service is one log without a name."""
    logs = report.get("origins") or [report]
    for item in logs:
        name = output.clean(str(item.get("origin", ""))) if len(logs) > 1 else ""
        epoch = item.get("epoch", 1)
        where = f" {name}" + (f" (beginning {epoch})" if epoch > 1 else "") if name else ""
        if item["ok"]:
            yield f"The audit log{where} is whole: {item['records']} records, signed and in order."
        elif name:
            yield f"The audit log{where} has findings; {item['covered']} records are signed and in order."
        yield from (f"- {output.clean(_finding(finding))}" for finding in item.get("findings", ()))


def _not_whole(report: Mapping[str, Any]) -> FindingError:
    bad = [item for item in report.get("origins") or [report] if not item["ok"]]
    first, name = bad[0].get("first_bad"), output.clean(str(bad[0].get("origin", "")))
    where = f"; the first bad record is {first}" if first is not None else ""
    more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
    about = f" {name}" if name and len(report.get("origins", ())) > 1 else ""
    hint = "keep a copy, and find out who could write to it"
    return FindingError(f"the audit log{about} is not whole{where}{more}", hint=hint)


def _finding(finding: Any) -> str:
    if isinstance(finding, Mapping):
        index = finding.get("index")
        where = f"record {index}: " if index is not None else ""
        return where + str(finding.get("message", finding.get("code", "")))
    return str(finding)
