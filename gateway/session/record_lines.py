"""The records of a pipeline: a line for each request and a line for each outcome, made in one go.

They say what ``Recorder.requested`` and ``Recorder.finished`` say, and are made from the same templates.
"""

import json
from collections.abc import Mapping
from typing import Any

from gateway.audit.encode import rfc3339
from gateway.audit.lines import Briefs, Lines, Stretch
from gateway.clock import Clock, new_ids
from gateway.model.decision import Allowed
from gateway.model.event import Kind
from gateway.sansio.exchange import End, Ends, Pipeline
from gateway.session.record import Recorder

# In canonical JSON every control character is an escape: this stands nowhere in it.
_HOLE = "\0"


def begun(recorder: Recorder, clock: Clock, pipeline: Pipeline, decisions: Mapping[int, Allowed]) -> Lines:
    """The records of a pipeline of which everything was allowed; *decisions* by the identity of the facts.

    The pipeline gets the ids of its records, and their time.
    """
    now = clock.now_ns()
    pipeline.started_ns, pipeline.ids = now, new_ids(now, pipeline.count)
    fields: list[dict[str, Any]] = []
    stretches: list[Stretch] = []
    made: dict[int, tuple[str, dict[str, Any]]] = {}  # many come again in another place
    for request, facts, times in pipeline.stretches:
        known = made.get(id(facts))
        if known is None:
            decision_id = decisions[id(facts)].decision_id
            kept = recorder.known(facts[0], request, decisions[id(facts)])
            start = f'{{"fields":{kept.head}{decision_id}{kept.tail},"id":"'
            known = made[id(facts)] = (start, {**kept.brief, "decision_id": decision_id})
        stretches.append((known[0], "", times))
        fields += [known[1]] * times
    return _lines(Briefs(Kind.SESSION_QUERY, now, pipeline.ids, fields), stretches)


def ended(recorder: Recorder, clock: Clock, ends: Ends, *, executed: bool = True) -> Lines:
    """The records of how requests of a pipeline ended."""
    now, count = clock.now_ns(), ends.count
    pipeline = ends.pipeline
    duration_ns, is_executed = max(0, now - pipeline.started_ns), "true" if executed else "false"
    line = f'{{"fields":{recorder.end_of_query},"id":"'
    around: dict[End, list[str]] = {}  # what stands around the request's id; many end alike
    stretches: list[Stretch] = []
    for end, times in ends.ends:
        if end not in around:
            rows, size, error = end
            code, shown = json.dumps(error) if error else '""', "null" if rows is None else rows
            around[end] = (line % (size, duration_ns, code, is_executed, _HOLE, shown)).split(_HOLE)
        before, behind = around[end]
        stretches.append((before, behind, times))
    queries = pipeline.ids[ends.first : ends.first + count]
    fields = [{"session_id": recorder.session_id}] * count
    return _lines(Briefs(Kind.SESSION_QUERY_END, now, new_ids(now, count), fields, queries), stretches)


def _lines(briefs: Briefs, stretches: list[Stretch]) -> Lines:
    return Lines(briefs, stretches, f',"kind":"{briefs.kind.value}","time":"{rfc3339(briefs.time_ns)}"}}')
