"""What a piece of a log names of what its decisions were made from."""

from typing import Any

import pytest

from gateway.api.mentions import named
from gateway.audit.encode import canonical
from gateway.model.event import Event, Kind
from gateway.policy.evidence import Revision

A, B, C = "a" * 64, "b" * 64, "c" * 64


def lines(*events: Event) -> bytes:
    return b"".join(canonical(item, index) + b"\n" for index, item in enumerate(events))


def event(kind: Kind, time_ns: int = 5, **fields: Any) -> Event:
    return Event(kind, "01", time_ns, fields)


def test_inputs_come_once_each_and_revisions_with_their_time() -> None:
    found = named(
        lines(
            event(Kind.SESSION_START, input_digest=B, statement="x"),
            event(Kind.POLICY_DATA, 7_000_000_001, data_revision=3, data_digest=C),
            event(Kind.SESSION_QUERY, input_digest=A),
            event(Kind.SESSION_QUERY, input_digest=B),
            event(Kind.POLICY_ADOPT, 8, policy_revision="1-x", policy_digest=A, data_revision=3),
        )
    )
    assert list(found.inputs) == [B, A]
    assert list(found.revisions) == [
        Revision("data", "3", C, 7_000_000_001),
        Revision("policy", "1-x", A, 8),
    ]


@pytest.mark.parametrize(
    "text",
    [
        f'"input_digest":"{A}"',
        f'\\"input_digest\\":\\"{A}\\"',
        f'\n"input_digest":"{A}"\n',
        f'"kind":"policy.data","time":"1970-01-01T00:00:00.000000007Z"}}\n{A}',
    ],
)
def test_what_a_client_writes_names_nothing(text: str) -> None:
    found = named(lines(event(Kind.SESSION_QUERY, statement=text, user=text, data_digest=B, data_revision=1)))
    assert (list(found.inputs), list(found.revisions)) == ([], [])


@pytest.mark.parametrize(
    "fields",
    [
        {"data_revision": "3", "data_digest": A},
        {"data_revision": True, "data_digest": A},
        {"data_revision": 3, "data_digest": "A" * 64},
        {"data_revision": 3},
        {},
    ],
)
def test_what_says_nothing_in_our_form_names_nothing(fields: dict[str, Any]) -> None:
    assert list(named(lines(event(Kind.POLICY_DATA, **fields))).revisions) == []
    assert list(named(lines(event(Kind.POLICY_LOAD, policy_revision="", policy_digest=A))).revisions) == []
