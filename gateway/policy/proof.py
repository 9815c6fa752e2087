"""Whether a recorded decision comes out the same again, from what was kept of it. Evaluates offline.

Nothing of the running cluster takes part: a fresh OPA gets the bundle and the data of the recorded
revisions, makes the index anew, and is asked the recorded input at the recorded time (a connect's stands in
its input, a query's in the decision's id).
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.clock import moment_of
from gateway.errors import NotFoundError, PolicyError
from gateway.policy import answer, canary, document, opa
from gateway.policy.answer import Verdict
from gateway.policy.evidence import Question

_ITEM = "proof"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision as its record has it; ``reasons`` are (code, role, message), in order."""

    decision_id: str
    input_digest: str
    policy_revision: str
    data_revision: int
    allow: bool
    reasons: tuple[tuple[str, str, str], ...]
    granted_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What came out now; ``differences`` is empty when it is what was recorded."""

    verdict: Verdict
    differences: tuple[str, ...]


def recorded(fields: Mapping[str, Any]) -> Recorded:
    """The decision in an event's fields.

    Raises:
        NotFoundError: the record holds none that a policy made.
    """
    if "verdict" not in fields or not fields.get("decision_id"):
        raise NotFoundError("this record holds no decision of the policy")
    try:
        if not fields.get("policy_revision"):
            code = next((reason["code"] for reason in fields.get("reasons", ())), "unknown")
            raise NotFoundError(
                f"no policy made this decision: the gateway itself refused ({code})",
                hint="where nobody could be asked, refusing is all there is: there is nothing to evaluate",
            )
        return _recorded(fields)
    except (AttributeError, KeyError, TypeError):
        # Of a trial, which only mentions a decision; or of a service that writes what it likes.
        raise NotFoundError("this record does not say how the decision fell") from None


def _recorded(fields: Mapping[str, Any]) -> Recorded:
    reasons = tuple(
        (reason["code"], reason.get("role", ""), reason.get("message", "")) for reason in fields["reasons"]
    )
    return Recorded(
        decision_id=fields["decision_id"],
        input_digest=fields["input_digest"],
        policy_revision=fields["policy_revision"],
        data_revision=fields["data_revision"],
        allow=fields["verdict"] == "allowed",
        reasons=reasons,
        granted_by=tuple(fields.get("granted_by", ())),
    )


def evaluate(
    program: Path, was: Recorded, question: Question, documents: Mapping[str, Any], bundle: bytes
) -> Evaluated:
    """Decide again, with *program* (an OPA), and compare.

    Raises:
        PolicyError: it cannot be evaluated.
    """
    with tempfile.TemporaryDirectory(prefix="regate-proof-") as name:
        folder = Path(name)
        (folder / "bundle.tar.gz").write_bytes(bundle)
        whole = canary.with_canary({**documents, "data_revision": was.data_revision})
        asked = document.index(whole["roles"], whole["locks"], whole.get("guards", ()))
        index = _eval(program, folder, "gateway.prepare.index", document.encode(asked), strict=False)
        (folder / "data.json").write_bytes(document.encode({"regate": {**whole, "index": index}}))
        verdict = _decide(program, folder, was, question)
    return Evaluated(verdict, tuple(_differences(was, verdict)))


def _decide(program: Path, folder: Path, was: Recorded, question: Question) -> Verdict:
    if "identity" in question.value:
        return answer.connect(
            _eval(program, folder, "gateway.connect.decision", document.encode(question.value))
        )
    # By the same entry point as then: it has short ways to a yes, which give other reasons.
    session = document.encode(question.value["session"])
    item = document.query_item(session, document.encode(question.value["statements"]))
    body = json.loads(document.batch({_ITEM: item}, moment_of(was.decision_id)))["input"]
    found = _eval(program, folder, "gateway.query_batch.answers", document.encode(body))
    return answer.query(answer.answered(found, {_ITEM: None})[_ITEM])


def _eval(program: Path, folder: Path, path: str, asked: bytes, *, strict: bool = True) -> Any:
    (folder / "input.json").write_bytes(asked)
    data = ("--data", "data.json") if (folder / "data.json").exists() else ()
    said = opa.run(
        program, "eval", "--format=json", *(("--strict-builtin-errors",) if strict else ()),
        "--bundle", "bundle.tar.gz", *data, "--input", "input.json", f"data.{path}", cwd=folder,
    )  # fmt: skip
    try:
        return json.loads(said)["result"][0]["expressions"][0]["value"]
    except (ValueError, KeyError, IndexError) as error:
        raise PolicyError(f"the bundle gives no answer at {path}") from error


def _differences(was: Recorded, now: Verdict) -> list[str]:
    told = {True: "allowed", False: "denied"}
    pairs = {
        "verdict": (told[was.allow], told[now.allow]),
        "reasons": (
            [*map(list, was.reasons)],
            [[reason.code, reason.role, reason.message] for reason in now.reasons],
        ),
        "granting roles": (list(was.granted_by), list(now.roles)),
        "policy revision": (was.policy_revision, now.revisions.policy if now.revisions else ""),
        "data revision": (was.data_revision, now.revisions.data if now.revisions else -1),
    }
    return [f"{what}: recorded {old}, now {new}" for what, (old, new) in pairs.items() if old != new]
