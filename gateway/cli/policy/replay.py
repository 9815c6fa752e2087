"""``regate policy replay``: every recorded decision judged again by other policies."""

import asyncio  # noqa: TID251
import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import channel, output
from gateway.cli.audit import moment
from gateway.cli.options import config_option, examples, format_option
from gateway.cli.policy.past import fetching, progress

if TYPE_CHECKING:
    from gateway.analysis.judgements import Judgement
    from gateway.analysis.replaying import Gathered, Kept, Past
    from gateway.analysis.world import World

_NARROW = 100


@click.command(
    epilog=examples(
        "regate policy replay .",
        "regate policy replay dist/policy.tar.gz --since=7d",
        "regate policy replay origin/main --since=2026-01-31 --format=json",
    )
)
@click.argument("new")
@click.option(
    "--since", type=moment, default="30d", show_default=True, metavar="TIME", help="A time, or how long ago."
)
@click.option("--until", type=moment, default=None, metavar="TIME", help="A time, or how long ago.")
@format_option
@config_option
@click.pass_context
def replay(
    ctx: click.Context, new: str, since: str, until: str | None, form: str, config: str, proxy: str
) -> None:
    """Judge recorded decisions again, by other policies.

    NEW is a folder, a bundle or a revision of git. The connect of each session is judged first, and the
    roles that grant it now are those of its statements. NEW is what the cluster would have after its
    publication: users and databases are the cluster's, and so are roles that NEW lacks. Each verdict that
    changed is printed with its statement; the exit code is 1 when any did.
    """
    from gateway.cli.policy.sources import LIVE, completed, opened  # noqa: PLC0415 # slow to import

    api = channel.admin(config, proxy)
    with opened(new, config, proxy) as given, opened(LIVE, config, proxy) as live:
        world, _ = completed(given, live)
        started = time.monotonic()
        with progress("Judging again") as advance:
            report = asyncio.run(_replay(world, fetching(api, since, until or ""), advance))
    seconds = time.monotonic() - started
    judged = report["summary"]["judged"]
    report["summary"] |= {"seconds": round(seconds, 3), "per_second": round(judged / max(seconds, 1e-9))}
    output.show(report, form, lambda: _say(report))
    if report["changes"]:
        ctx.exit(1)


async def _replay(
    world: "World",
    fetched: "Future[tuple[Gathered, Kept]]",
    advance: Callable[[int, int], object],
) -> dict[str, Any]:
    """The report; OPA starts while the decisions are still fetched."""
    from gateway.analysis.timeless import of_world  # noqa: PLC0415 # slow to import
    from gateway.cli.policy.judging_again import Again  # noqa: PLC0415 # slow to import
    from gateway.clock import SystemClock  # noqa: PLC0415
    from gateway.policy.offline import offline  # noqa: PLC0415

    timeless = of_world(world)
    cores = len(os.sched_getaffinity(0))  # nobody else waits for this OPA
    async with offline(world.shipped, world.team, world.data(), SystemClock(), slots=cores) as sidecar:
        found, kept = await asyncio.wrap_future(fetched)
        decisions = list(found.decisions.values())
        again = Again(sidecar.client, found, kept, advance, timeless=timeless)
        verdicts = await again.judge(decisions)
    changes = [
        _change(past, verdict)
        for past, verdict in zip(decisions, verdicts, strict=True)
        if verdict is not None and verdict.allowed is not past.allowed
    ]
    return {
        "summary": {
            "judged": sum(verdict is not None for verdict in verdicts),
            "changed": len(changes),
            "now_allowed": sum(change["now"] == "allowed" for change in changes),
            "now_denied": sum(change["now"] == "denied" for change in changes),
            "not_judged": found.left_out,
        },
        "changes": changes,
    }


def _change(past: "Past", verdict: "Judgement") -> dict[str, Any]:
    from gateway.audit.encode import rfc3339  # noqa: PLC0415 # only for what changed

    return {
        "time": rfc3339(past.time_ns),
        "user": past.who.get("user", ""),
        "database": past.who.get("database", ""),
        "db_user": past.who.get("db_user", ""),
        "db_name": past.who.get("db_name", ""),
        "about": "connect" if past.is_connect else "statement",
        "statement": past.statement,
        "more_statements": past.more,
        "then": "allowed" if past.allowed else "denied",
        "then_reasons": list(past.codes),
        "now": "allowed" if verdict.allowed else "denied",
        "now_reasons": list(verdict.codes),
        "decision_id": past.decision_id,
        "origin": past.origin,
    }


def _say(report: dict[str, Any]) -> None:
    for change in report["changes"]:
        click.echo(output.clean(_line(change)))
    summary = report["summary"]
    click.echo(
        f"{summary['judged']} decisions judged again, {summary['changed']} changed "
        f"({summary['now_allowed']} now allowed, {summary['now_denied']} now denied), "
        f"in {summary['seconds']:.1f} s ({summary['per_second']} a second)"
    )
    for why, count in summary["not_judged"].items():
        click.echo(f"not judged: {count}, {why}")


def _line(change: dict[str, Any]) -> str:
    what = " ".join(change["statement"].split()) or change["about"]
    what = what if len(what) <= _NARROW else f"{what[: _NARROW - 1]}…"
    more = f" (and {change['more_statements']} more)" if change["more_statements"] else ""
    reasons = ", ".join(change["now_reasons"])
    where = f"{change['time'][:19]}Z {change['user']} on {change['database']}"
    return f"{where}: {change['then']} -> {change['now']} ({reasons}): {what}{more} [{change['decision_id']}]"
