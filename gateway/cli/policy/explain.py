"""``regate policy explain``: why a recorded decision fell as it did, and what would change it today."""

import asyncio  # noqa: TID251
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import yaml

from gateway.cli import channel, output
from gateway.cli.client import Api
from gateway.cli.evidence import WHERE_ELSE, need_one_log
from gateway.cli.options import config_option, examples, format_option
from gateway.cli.policy.simulate import say_decision, shown
from gateway.errors import NotFoundError, PolicyError

if TYPE_CHECKING:
    from gateway.analysis.access import Route
    from gateway.analysis.remedies import Remedy
    from gateway.analysis.world import Placed, World
    from gateway.cli.policy.asking import Asker
    from gateway.model.decision import Decision
    from gateway.sansio.exchange import Facts

_TRIALS = 200  # proposals that are tried, so that the answer comes while somebody waits
_SHOWN = 5


@click.command(
    epilog=examples("regate policy explain 01K0ABCDEF…", "regate policy explain 01K0ABCDEF… --format=json")
)
@click.argument("decision_id")
@click.option("--origin", default="", help="Of this log: its name, or its service's; . for the own.")
@format_option
@config_option
def explain(decision_id: str, origin: str, form: str, config: str, proxy: str) -> None:
    """Say why a decision fell as it did, and what would change it.

    The id stands in every refusal and in every record of the audit log. Proposals were tried: each was put
    to the policies that are in force now, together with the question that was asked then.
    """
    from gateway.cli.policy.sources import LIVE, opened  # noqa: PLC0415 # slow to import

    api = channel.admin(config, proxy)
    case = _case(api, decision_id, origin)
    with opened(LIVE, config, proxy) as world, output.working("Trying what would change it"):
        report = asyncio.run(_report(world, case))
    output.show(report, form, lambda: _say(report))


@dataclass(frozen=True, slots=True)
class _Case:
    """A recorded decision: *facts* are None where a connect was judged."""

    record: Mapping[str, Any]
    route: "Route"
    facts: "Facts | None"


def _case(api: Api, decision_id: str, origin: str) -> _Case:
    from gateway.analysis.access import Route  # noqa: PLC0415 # slow to import
    from gateway.analysis.recorded import facts_of  # noqa: PLC0415

    record = _record(api.lines("/v1/audit", {"decision": decision_id, "origin": origin}), decision_id)
    fields = record["fields"]
    if not fields.get("database"):
        raise NotFoundError(f"decision {decision_id} was not about a database")
    user, db_user, db_name = (str(fields.get(name, "")) for name in ("user", "db_user", "db_name"))
    route = Route(user, str(fields["database"]), db_user, db_name)
    is_connect = record["kind"] == "db.session.start" or fields.get("subject") == "connect"
    if is_connect:
        return _Case(record, route, None)
    digest = fields.get("input_digest", "")
    asked = {"digests": [digest], "origin": record["origin"]}
    kept = api.post("/v1/evidence/inputs", asked)["inputs"] if digest else {}
    if digest not in kept:
        raise NotFoundError(f"what decision {decision_id} was made from was not kept here", hint=WHERE_ELSE)
    try:
        return _Case(record, route, facts_of(kept[digest]["input"]["statements"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PolicyError(f"what was kept of decision {decision_id} is not about statements") from error


def _record(records: Iterable[Mapping[str, Any]], decision_id: str) -> Mapping[str, Any]:
    """The newest that tells of the decision itself; others with its id tell of a trial, or a certificate."""
    from gateway.analysis.replaying import KINDS  # noqa: PLC0415 # slow to import

    found: Mapping[str, Any] | None = None
    origins = set[str]()
    for record in records:
        origins.add(str(record["origin"]))
        if found is None or (found["kind"] not in KINDS and record["kind"] in KINDS):
            found = record
    need_one_log(decision_id, origins)
    if found is None:
        hint = "is it in this cluster's log? regate audit ls"
        raise NotFoundError(f"there is no decision {decision_id}", hint=hint)
    return found


async def _report(world: "World", case: _Case) -> dict[str, Any]:
    from gateway.cli.policy.asking import asking  # noqa: PLC0415 # slow to import

    fields = case.record["fields"]
    found: dict[str, Any] = {
        "decision_id": fields["decision_id"],
        "origin": case.record["origin"],
        "time": case.record["time"],
        "about": "connect" if case.facts is None else "statement",
        "statement": fields.get("statement", ""),
        "then": {
            "verdict": fields.get("verdict", "allowed"),
            "reasons": list(fields.get("reasons", ())),
            "policy_revision": fields.get("policy_revision", ""),
            "data_revision": fields.get("data_revision"),
        },
        "now": None,
        "would_change_it": [],
    }
    user = world.named("user", case.route.user)
    if user is None or case.route.database not in world.databases():
        found["would_change_it"] = [
            {"kind": "gone", "sentence": "the user or the database does not exist today"}
        ]
        return found
    async with asking(world) as asker:
        today, granting, entry = await _ask(asker, case)
        found["now"] = shown(world, today, entry, granting, case.route.user)
        if found["now"]["verdict"] == "denied":
            remedies = [item async for item in _working(asker, world, user, case, granting)]
            found["would_change_it"] = [_remedy(item) for item in remedies]
        else:
            needed = [name async for name in _needed(asker, world, user, case)]
            found["would_change_it"] = [
                {"kind": "loss", "sentence": f"without the role {name} it is refused"} for name in needed
            ]
    return found


async def _ask(asker: "Asker", case: _Case) -> "tuple[Decision, tuple[str, ...], str]":
    """The decision that the question gets now, the roles that grant the connect, and what decided."""
    from gateway.model.decision import Denied  # noqa: PLC0415 # slow to import

    connect = await asker.connect(case.route)
    if isinstance(connect, Denied):
        return connect, (), "connect"
    if case.facts is None:
        return connect, connect.roles, "connect"
    session = asker.session(case.route, asker.world.databases()[case.route.database], connect.roles)
    return await asker.query(session, case.facts), connect.roles, "query"


async def _working(
    asker: "Asker", world: "World", user: "Placed", case: _Case, granting: tuple[str, ...]
) -> Any:
    """The proposals that turn it: a few requests, then the first grant, else a new role, else a blocker."""
    from gateway.analysis import remedies  # noqa: PLC0415 # slow to import

    facts = case.facts or ()
    database = world.databases()[case.route.database]
    groups: tuple[tuple[Iterable[Remedy], int], ...] = (
        (remedies.requests(world, user), _SHOWN),
        (remedies.grants(world, user, case.route, facts, granting), 1),
        (remedies.new_role(user, case.route, database, facts), 1),
        (remedies.blockers(world, user), _SHOWN),
    )
    left, turned = _TRIALS, False
    for proposals, most in groups:
        count = 0
        for proposal in proposals:
            if count >= most or left <= 0 or (turned and proposal.kind in {"role", "blocker"}):
                break
            left -= 1
            if await _turns(asker, proposal.applied(world), case):
                count, turned = count + 1, turned or proposal.kind != "request"
                yield proposal


async def _turns(asker: "Asker", world: "World", case: _Case) -> bool:
    from gateway.model.decision import Allowed  # noqa: PLC0415 # slow to import

    await asker.turn_to(world)
    return isinstance((await _ask(asker, case))[0], Allowed)


async def _needed(asker: "Asker", world: "World", user: "Placed", case: _Case) -> Any:
    from gateway.analysis.remedies import without_roles  # noqa: PLC0415 # slow to import

    for name, without in without_roles(world, user):
        if not await _turns(asker, without, case):
            yield name


def _remedy(item: "Remedy") -> dict[str, Any]:
    plain: dict[str, Any] = {"kind": item.kind, "sentence": item.sentence}
    return {**plain, "document": item.document} if item.document else plain


def _say(report: dict[str, Any]) -> None:
    then = report["then"]
    what = f": {report['statement']}" if report["statement"] else ""
    click.echo(output.clean(f"{report['time'][:19]}Z {report['about']}{what}"))
    click.echo(f"then: {then['verdict']}, policy {then['policy_revision']}, data {then['data_revision']}")
    for reason in then["reasons"]:
        about = f" by role {reason['role']}" if reason.get("role") else ""
        click.echo(output.clean(f"  {reason['code']}{about}: {reason.get('message', '')}".rstrip(": ")))
    if report["now"] is not None:
        say_decision("now", report["now"])
    for line in _advice(report):
        click.echo(line)


_HEADS = {
    "request": "A request for this would be enough",
    "grant": "The smallest grant",
    "role": "No role comes close; this one would do",
    "blocker": "It is refused by this alone",
    "loss": "What holds it up",
    "gone": "Nothing",
}


def _advice(report: dict[str, Any]) -> Iterator[str]:
    if not report["would_change_it"]:
        yield "No role, and no end of one deny or lock, would change it: a guard does it, or several at once."
    for item in report["would_change_it"]:
        yield output.clean(f"{_HEADS[item['kind']]}: {item['sentence']}")
        if item["kind"] == "role":
            text = yaml.safe_dump(item["document"], sort_keys=False)
            yield from (f"  {output.clean(line)}" for line in text.rstrip().splitlines())
