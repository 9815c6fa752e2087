"""``regate policy corpus``: judge a corpus of statements and messages, and say which came out otherwise."""

import asyncio  # noqa: TID251
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click
from click.core import ParameterSource

from gateway.cli import output
from gateway.cli.options import examples, format_option, proxy_option
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from gateway.analysis.corpus import Entry
    from gateway.analysis.expectation import Result

_NARROW = 90  # characters of a payload that a line of text shows
_USER = "analyst"


@click.command(
    epilog=examples(
        "regate policy corpus bypass.yaml",
        "regate policy corpus regressions.yaml --policy=. --user=alice --database=orders",
        "regate policy corpus bypass.yaml --format=json | jq .summary",
        "regate policy corpus bypass.yaml --live=scratch --db-user=analyst --db-name=appdb",
    )
)
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--policy",
    "folder",
    metavar="DIR",
    default="",
    help="Judge by the roles and guards of this repository. [default: the reference role of the corpus]",
)
@click.option("--user", default=_USER, show_default=True, help="Judge as this user of the repository.")
@click.option(
    "--database", default="", help="Judge on this database of the repository. [default: one without labels]"
)
@click.option(
    "--live",
    metavar="NAME",
    default="",
    help="Send the entries through sessions of your own on database NAME.",
)
@click.option("--db-user", default="", help="With --live: the database user to connect as.")
@click.option("--db-name", default="", help="With --live: the database name to connect to.")
@proxy_option
@click.option("--verbose", is_flag=True, help="Print every entry, not only those that came out otherwise.")
@format_option
@click.pass_context
def corpus(ctx: click.Context, /, file: str, form: str, *, verbose: bool, **given: str) -> None:
    """Judge a corpus, and print what came out otherwise than it must.

    FILE is a list of entries in YAML, each with id, protocol, kind (sql, wire, startup, command, http),
    payload, encoding (text or hex) and must: deny, fail_closed (refused because nobody may understand it) or
    parse (understood as "expect" says, and allowed). PostgreSQL entries assume the search path app, the
    database appdb, the user analyst and UTF-8. No server is needed. Entries of kind scenario, and those for
    protocols that are not built yet, are listed as not judged. The exit code is 1 when any entry came out
    otherwise.

    With --live, the entries for the protocol of database NAME go through your login, the proxy and the policy
    in force to it, each in a session of its own: statements (sql) to PostgreSQL, MySQL and MariaDB, commands
    and messages (command, wire) to MongoDB and Redis. PostgreSQL, MySQL and MariaDB run them in a transaction
    that is rolled back, Redis queues them behind MULTI and drops them. With MongoDB, and outside of a
    transaction, whatever is let through runs and lasts: name a database that was made for this. An error of
    the server's own counts as allowed, no answer as otherwise. All other entries are listed as not judged,
    and what was understood ("expect") is not compared.
    """
    from gateway.analysis.corpus import read  # noqa: PLC0415 # slow to import

    _check(ctx, given)
    results, left_out = (_send if given["live"] else _judge)(read(_text(file), file), given)
    report = _report(results, left_out)
    output.show(report, form, lambda: _say(report, verbose=verbose))
    if any(item.differences for item in results):
        ctx.exit(1)


def _check(ctx: click.Context, given: Mapping[str, str]) -> None:
    """Options that would be overlooked are refused."""
    without, only = ("folder", "user", "database"), ("db_user", "db_name", "proxy")
    for name in without if given["live"] else only:
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = "policy" if name == "folder" else name.replace("_", "-")
            is_ = "not used with" if given["live"] else "used only with"
            raise ConfigError(f"--{option} is {is_} --live")


_Judged: TypeAlias = "tuple[list[Result], list[tuple[Entry, str]]]"  # and what was not, with the reason


def _send(entries: Sequence["Entry"], given: Mapping[str, str]) -> _Judged:
    from gateway.cli.policy import live  # noqa: PLC0415 # slow to import

    way = live.obtain(given["live"], db_user=given["db_user"], db_name=given["db_name"], proxy=given["proxy"])
    judged, left_out = _parted(entries, lambda entry: live.not_sent(entry, way[1].route.protocol))
    with output.working(f"Judging {len(judged)} entries"):
        return live.judge(judged, *way), left_out


def _judge(entries: Sequence["Entry"], given: Mapping[str, str]) -> _Judged:
    from gateway.analysis import world  # noqa: PLC0415 # slow to import
    from gateway.analysis.corpus import not_judged  # noqa: PLC0415
    from gateway.cli.policy.rehearsing import judge  # noqa: PLC0415
    from gateway.schema import data_dir  # noqa: PLC0415

    judged, left_out = _parted(entries, not_judged)
    if not judged:
        return [], left_out
    folder, user, database = given["folder"], given["user"], given["database"]
    read = world.read(Path(folder) if folder else data_dir("examples") / "corpus")
    if read.named("user", user) is None:
        raise ConfigError(f"there is no user {user!r} in {folder}", hint="name one with --user")
    chosen = read.databases().get(database) if database else None
    if database and chosen is None:
        raise ConfigError(f"there is no database {database!r} in {folder}", hint="name one with --database")
    with output.working(f"Judging {len(judged)} entries"):
        return asyncio.run(judge(judged, read, user, chosen)), left_out


def _parted(
    entries: Sequence["Entry"], why_not: "Callable[[Entry], str]"
) -> "tuple[list[Entry], list[tuple[Entry, str]]]":
    """The entries to judge, and those that are not, each with the reason."""
    reasons = [(entry, why_not(entry)) for entry in entries]
    return [entry for entry, why in reasons if not why], [(entry, why) for entry, why in reasons if why]


def _text(file: str) -> str:
    try:
        with click.open_file(file, encoding="utf-8", errors="strict") as stream:
            return str(stream.read())
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text") from error


def _report(results: "Sequence[Result]", left_out: "Sequence[tuple[Entry, str]]") -> dict[str, Any]:
    protocols = dict.fromkeys([r.entry.protocol for r in results] + [entry.protocol for entry, _ in left_out])
    good = Counter(item.entry.protocol for item in results if not item.differences)
    bad = Counter(item.entry.protocol for item in results if item.differences)
    skipped = Counter(entry.protocol for entry, _ in left_out)
    return {
        "summary": {
            name: {
                "judged": good[name] + bad[name],
                "as_they_must": good[name],
                "otherwise": bad[name],
                "not_judged": skipped[name],
            }
            for name in protocols
        },
        "otherwise": [_shown(item) for item in results if item.differences],
        "as_they_must": [_shown(item) for item in results if not item.differences],
        "not_judged": [
            {"id": entry.id, "protocol": entry.protocol, "kind": entry.kind, "why": why}
            for entry, why in left_out
        ],
    }


def _shown(item: "Result") -> dict[str, Any]:
    entry, ending = item.entry, item.ending
    return {
        "id": entry.id,
        "protocol": entry.protocol,
        "kind": entry.kind,
        "category": entry.category,
        "line": entry.line,
        "must": entry.must.value,
        "came_out": _came_out(item),
        "sentence": ending.sentence,
        "reasons": [reason.code for reason in ending.reasons],
        "differences": list(item.differences),
        "payload": _payload(entry),
    }


def _came_out(item: "Result") -> str:
    """One of: allowed, denied, not understood, closed, held back; or allowed, but only inside TLS."""
    return f"{item.ending.end.value} inside TLS only" if item.ending.needs_tls else item.ending.end.value


def _payload(entry: "Entry") -> str:
    text = entry.payload if isinstance(entry.payload, str) else entry.payload.hex()
    return text if len(text) <= _NARROW else f"{text[: _NARROW - 1]}…"


def _say(report: dict[str, Any], *, verbose: bool) -> None:
    for item in report["otherwise"]:
        click.echo(output.clean(f"{item['id']} ({item['protocol']}, {item['kind']}) must {item['must']}:"))
        click.echo("  " + output.clean(item["payload"]))
        for difference in item["differences"]:
            click.echo("  - " + output.clean(difference))
    if verbose:
        rows = [(i["id"], i["must"], i["came_out"], i["sentence"]) for i in report["as_they_must"]]
        output.table(("Id", "Must", "Came out", "Why"), rows)
    for line in _groups(report["not_judged"]):
        click.echo(output.clean(line))
    rows = [(name, *(str(value) for value in counts.values())) for name, counts in report["summary"].items()]
    output.table(("Protocol", "Judged", "As they must", "Otherwise", "Not judged"), rows)


def _groups(left_out: Iterable[dict[str, str]]) -> list[str]:
    """One line for each reason, with the ids it is about."""
    groups: dict[str, list[str]] = {}
    for item in left_out:
        groups.setdefault(item["why"], []).append(item["id"])
    return [f"not judged: {', '.join(ids)} ({why})" for why, ids in groups.items()]
