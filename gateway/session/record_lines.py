"""The records of a pipeline: a line for each request and a line for each outcome, made in one go.

They say what ``Recorder.requested`` and ``Recorder.finished`` say, and are made from the same templates.
"""

import json
from collections.abc import Mapping
from typing import Any

from gateway.audit.encode import rfc3339
from gateway.audit.intents import KEPT
from gateway.audit.lines import Briefs, Lines
from gateway.clock import Clock, new_ids
from gateway.model.decision import Allowed
from gateway.model.event import Kind
from gateway.sansio.protocol import Ends, Pipeline
from gateway.session.record import Recorder


def begun(recorder: Recorder, clock: Clock, pipeline: Pipeline, decisions: Mapping[int, Allowed]) -> Lines:
    """The records of a pipeline of which everything was allowed; *decisions* by the identity of the facts.

    The pipeline gets the ids of its records, and their time.
    """
    now = clock.now_ns()
    pipeline.started_ns, pipeline.ids = now, new_ids(now, len(pipeline.facts))
    known: dict[int, tuple[str, dict[str, Any]]] = {}
    heads: list[bytes] = []
    fields: list[dict[str, Any]] = []
    for id_, facts, request in zip(pipeline.ids, pipeline.facts, pipeline.requests, strict=True):
        found = known.get(id(facts))
        if found is None:
            decision = decisions[id(facts)]
            kept = recorder.known(facts[0], request, decision)
            text = f'{{"fields":{kept.head}{decision.decision_id}{kept.tail},"id":"'
            brief = {key: kept.fields[key] for key in KEPT if key in kept.fields}
            found = known[id(facts)] = (text, {**brief, "decision_id": decision.decision_id})
        heads.append(f'{found[0]}{id_}","index":'.encode("ascii"))
        fields.append(found[1])
    return _lines(Briefs(Kind.SESSION_QUERY, now, pipeline.ids, fields), heads)


def ended(recorder: Recorder, clock: Clock, ends: Ends, *, executed: bool = True) -> Lines:
    """The records of how requests of a pipeline ended."""
    now = clock.now_ns()
    pipeline, count = ends.pipeline, len(ends.ends)
    duration_ns, is_executed = max(0, now - pipeline.started_ns), "true" if executed else "false"
    ids, session_id = new_ids(now, count), recorder.session_id
    line = f'{{"fields":{recorder.end_of_query},"id":"%s","index":'
    heads: list[bytes] = []
    fields: list[dict[str, Any]] = []
    queries = pipeline.ids[ends.first : ends.first + count]
    for id_, query, (rows, size, error) in zip(ids, queries, ends.ends, strict=True):
        code = json.dumps(error) if error else '""'
        shown = "null" if rows is None else rows
        heads.append((line % (size, duration_ns, code, is_executed, query, shown, id_)).encode("ascii"))
        fields.append({"session_id": session_id, "query_id": query})
    return _lines(Briefs(Kind.SESSION_QUERY_END, now, ids, fields), heads)


def _lines(briefs: Briefs, heads: list[bytes]) -> Lines:
    tail = f',"kind":"{briefs.kind.value}","time":"{rfc3339(briefs.time_ns)}"}}'
    return Lines(briefs, heads, tail.encode("ascii"))
