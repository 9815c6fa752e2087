"""``regate audit prove``: a recorded decision, evaluated again from what was kept of it."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli import channel, evidence, output
from gateway.cli.client import Api
from gateway.cli.evidence import Local, Remote, Source
from gateway.cli.failures import FindingError
from gateway.cli.options import config_option, examples, format_option
from gateway.clock import moment_of
from gateway.errors import NotFoundError
from gateway.policy import proof
from gateway.policy.install import ensure_opa
from gateway.policy.proof import Recorded

Record = Mapping[str, Any]


@click.command(
    epilog=examples(
        "regate audit prove 01KE3M5R2ZV0W8Q4T7Y9B6N1XC",
        "regate audit prove 01KE3M5R2ZV0W8Q4T7Y9B6N1XC --dir=/mnt/copy/audit",
    )
)
@click.argument("decision_id")
@click.option("--origin", default="", help="Of this log: its name, or its service's; . for the own.")
@click.option("--dir", "directory", metavar="DIR", default="", help="Read this folder; ask no service.")
@format_option
@config_option
def prove(decision_id: str, origin: str, directory: str, form: str, config: str, proxy: str) -> None:
    """Evaluate a recorded decision again, offline; exit code 10 when it comes out otherwise.

    The input, the bundle and the data of its revisions are those that were kept by digest; the digests of
    bundle and data are compared with the signed log. That the log itself is whole, regate audit verify says.
    """
    if directory and origin:
        raise click.UsageError("--origin goes with the logs of a cluster; a folder holds one")
    log = _LocalLog(Path(directory)) if directory else _RemoteLog(channel.admin(config, proxy))
    with output.working("Evaluating"):
        found = _prove(log, decision_id, origin)

    def text() -> None:
        click.echo(f"{found['verdict']}: {', '.join(found['reasons'])}")
        if found["origin"]:
            click.echo(f"log {output.clean(found['origin'])}")
        click.echo(f"input sha256:{found['input_digest']}")
        click.echo(f"policy {found['policy_revision']} sha256:{found['policy_digest']}")
        click.echo(f"data {found['data_revision']} sha256:{found['data_digest']}")
        for line in found["findings"]:
            click.echo(f"- {output.clean(line)}")
        if found["proved"]:
            note = ", but for values of settings that were withheld" if found["withheld"] else ""
            click.echo(f"The same verdict came out again{note}.")

    output.show(found, form, text)
    if not found["proved"]:
        raise FindingError(f"decision {decision_id} does not come out as it was recorded")


class _RemoteLog:
    """The logs and the evidence of a cluster."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def evidence(self, origin: str) -> Source:
        """What the decisions in the log of that name were made from."""
        return Remote(self._api, origin)

    def records(self, **query: str) -> Iterator[Record]:
        """The records that pass, the newest first."""
        return self._api.lines("/v1/audit", query)


class _LocalLog:
    """A folder with a log, and its evidence."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._evidence = Local(folder)

    def evidence(self, _origin: str) -> Source:
        """What the decisions in the log were made from."""
        return self._evidence

    def records(self, decision: str = "", kind: str = "", origin: str = "") -> Iterator[Record]:
        """The records that pass, the newest first."""
        from gateway.audit import read  # noqa: PLC0415 # only for a folder
        from gateway.model.event import Kind  # noqa: PLC0415 # as above

        kinds = tuple(Kind(name) for name in kind.split(",") if name)
        for record in read.records(self._folder, read.Query(decision_id=decision, kinds=kinds)):
            yield {"kind": record.event.kind.value, "fields": record.event.fields, "origin": origin}


def _prove(log: _RemoteLog | _LocalLog, decision_id: str, origin: str) -> dict[str, Any]:
    was, origin = _decision(log, decision_id, origin)
    source, at = log.evidence(origin), moment_of(decision_id)
    question = evidence.question(source, was.input_digest)
    data_digest, documents = source.data(was.data_revision, at)
    policy_digest, bundle = source.bundle(was.policy_revision, at)
    loads = log.records(kind="policy.load,policy.adopt", origin=origin)
    snapshots = log.records(kind="policy.data", origin=origin)
    findings = [
        *_against_log(loads, "policy", was.policy_revision, policy_digest),
        *_against_log(snapshots, "data", was.data_revision, data_digest),
    ]
    evaluated = proof.evaluate(ensure_opa(), was, question, documents, bundle)
    findings += evaluated.differences
    return {
        "decision_id": decision_id,
        "origin": origin,
        "proved": not findings,
        "verdict": "allowed" if was.allow else "denied",
        "reasons": [code for code, _, _ in was.reasons],
        "input_digest": was.input_digest,
        "withheld": question.is_withheld,
        "policy_revision": was.policy_revision,
        "policy_digest": policy_digest,
        "data_revision": was.data_revision,
        "data_digest": data_digest,
        "findings": findings,
    }


def _decision(log: _RemoteLog | _LocalLog, decision_id: str, origin: str) -> tuple[Recorded, str]:
    """The decision, and the one log that it stands in; several records may carry it, and say the same."""
    without: NotFoundError | None = None
    found: Recorded | None = None
    origins = set[str]()
    says_the_same = True
    for record in log.records(decision=decision_id, **({"origin": origin} if origin else {})):
        origins.add(str(record.get("origin", "")))
        try:
            was = proof.recorded(record["fields"])
        except NotFoundError as error:
            without = error
            continue
        found = found or was
        says_the_same = says_the_same and was == found
    evidence.need_one_log(decision_id, origins)
    if found is None:
        hint = "list them with: regate audit ls --format=json"
        raise without or NotFoundError(f"there is no decision {decision_id} in the log", hint=hint)
    if not says_the_same:
        raise FindingError(f"records of decision {decision_id} do not say the same, in one log")
    return found, origins.pop()


def _against_log(records: Iterable[Record], what: str, revision: str | int, digest: str) -> Iterator[str]:
    """What the log says that this revision was; the evidence lies beside it, unsigned."""
    named = [
        record["fields"].get(f"{what}_digest")
        for record in records
        if record["fields"].get(f"{what}_revision") == revision
    ]
    if not named:
        yield f"the log does not say what {what} revision {revision} was"
    elif digest not in named:
        yield f"{what} revision {revision}: the log says {named[0]}, kept is {digest}"
