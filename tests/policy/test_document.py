import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy import document
from gateway.policy.document import FactsCache
from tests.policy import documents

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(_values)
def test_canonical_json_reads_back_and_does_not_depend_on_order(value: object) -> None:
    encoded = document.encode(value)
    assert json.loads(encoded) == value
    assert document.encode(json.loads(encoded)) == encoded
    if isinstance(value, dict):
        assert document.encode(dict(reversed(value.items()))) == encoded


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("127.0.0.1:5432", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]:5432", "::1"),
        ("::1", "::1"),
        ("", ""),
        ("host.example:1", "host.example"),
    ],
)
def test_an_address_loses_its_port(address: str, host: str) -> None:
    assert document.host_of(address) == host


def test_the_session_id_and_the_port_stay_out_of_what_is_compared() -> None:
    first, second = documents.session("a", "r", number=1), documents.session("a", "r", number=2)
    assert first.content == second.content
    assert first.content != documents.session("b", "r").content


def test_a_session_is_written_down_with_its_first_query_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[object] = []
    encode = document.encode

    def counted(value: object) -> bytes:
        written.append(value)
        return encode(value)

    monkeypatch.setattr(document, "encode", counted)
    session = documents.session("a", "r")
    assert written == []
    assert session.content is session.content
    assert len(written) == 1


def test_a_connect_in_a_batch_tells_no_session() -> None:
    asked = documents.connect("alice", "r")
    assert asked.session_id
    item = json.loads(document.connect_item(asked))
    assert item == {
        **{key: value for key, value in asked.to_json().items() if key not in {"contract", "time"}},
        "session_id": "",
    }


def test_a_digest_is_that_of_session_and_statements() -> None:
    session, facts = documents.session("a", "r"), FactsCache().encode(documents.reads("t"))
    whole = {"session": json.loads(session.content), "statements": json.loads(facts)}
    assert session.digest(facts) == document.digest(document.encode(whole))
    for number in range(200):
        other = FactsCache().encode(documents.reads(f"t{number}"))
        assert session.digest(other) == document.digest(
            document.encode({**whole, "statements": json.loads(other)})
        )


def test_facts_are_encoded_once_and_never_mixed_up() -> None:
    cache = FactsCache(limit=3)
    kept = [documents.reads(f"t{number}") for number in range(10)]
    for _ in range(3):
        for number, facts in enumerate(kept):
            assert f'"t{number}"'.encode() in cache.encode(facts)
    first = cache.encode(kept[0])
    assert cache.encode(kept[0]) is first


def test_facts_that_are_gone_leave_nothing_to_be_found() -> None:
    cache = FactsCache(limit=2)
    for number in range(500):
        # Each tuple dies at once; the next may well have the same id.
        assert f'"t{number}"'.encode() in cache.encode(documents.reads(f"t{number}"))


def test_facts_are_kept_up_to_a_number_of_bytes_and_large_ones_not_at_all() -> None:
    cache = FactsCache(most_bytes=2_000)
    asked = [documents.reads(f"t{number}") for number in range(50)]
    for facts in asked:
        assert cache.encode(facts) == cache.encode(facts)
    assert cache.encode(asked[-1]) is cache.encode(asked[-1])
    assert cache.encode(asked[0]) is not cache.encode(asked[-1])
    assert cache._bytes <= 2_000
    large = documents.reads("t" * (300 << 10))
    assert cache.encode(large) is not cache.encode(large)
    assert cache._bytes <= 2_000
