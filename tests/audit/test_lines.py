"""Records that are made together are the records that would have been made one by one."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.encode import Body, body, decode
from gateway.audit.intents import Intents, from_json
from gateway.audit.lines import Briefs, Lines
from gateway.audit.tree import Frontier, leaf_hash, leaf_hashes
from gateway.model.event import Event, Kind

NOW = 1_700_000_000_000_000_000


def lines(kind: Kind, ids: Sequence[str], *, session: str = "s", queries: Sequence[str] = ()) -> Lines:
    """Records of one session, one for each of *ids*."""
    fields = [{"session_id": session}] * len(ids)
    ended = [{"query_id": query} for query in queries] or [{}] * len(ids)
    bodies = [
        body(Event(kind, id_, NOW, {**each, **end}))
        for id_, each, end in zip(ids, fields, ended, strict=True)
    ]
    stretches = []
    for id_, query, each in zip(ids, queries or [""] * len(ids), bodies, strict=True):
        start = each.head.decode().removesuffix(f'{id_}","index":')
        before, _, behind = start.partition(f'"{query}"') if query else (start, "", "")
        stretches.append((f'{before}"', f'"{behind}', 1) if query else (start, "", 1))
    return Lines(Briefs(kind, NOW, ids, fields, queries), stretches, bodies[0].tail.decode())


def test_lines_are_those_of_the_records_one_by_one() -> None:
    made = lines(Kind.SESSION_QUERY, ["a", "b", "c"])
    assert made.lines(7) == [each.line(index) for index, (_, each) in enumerate(made, 7)]
    assert [decode(line).event.id for line in made.lines(7)] == ["a", "b", "c"]
    assert [decode(line).index for line in made.lines(7)] == [7, 8, 9]
    assert (len(made), made[-1][0].id, [event.id for event, _ in made[1:]]) == (3, "c", ["b", "c"])
    assert made[0][1] == Body(made.lines(7)[0].removesuffix(b"7" + made[0][1].tail), made.tail.encode())


def test_an_end_says_what_it_ends() -> None:
    made = lines(Kind.SESSION_QUERY_END, ["x", "y"], queries=["a", "b"])
    assert [event.fields for event, _ in made] == [decode(line).event.fields for line in made.lines(0)]
    assert [event.fields["query_id"] for event, _ in made] == ["a", "b"]


@given(st.lists(st.integers(0, 40), max_size=6))
def test_a_tree_grows_by_many_as_it_does_one_by_one(sizes: list[int]) -> None:
    one, many = Frontier(), Frontier()
    for size in sizes:
        leaves = leaf_hashes([b"%d" % at for at in range(size)])
        assert leaves == [leaf_hash(b"%d" % at) for at in range(size)]
        for leaf in leaves:
            one.append(leaf)
        many.extend(leaves)
        assert (many.size, many.nodes, many.root()) == (one.size, one.nodes, one.root())


def test_what_was_recorded_together_is_open_until_each_has_its_end() -> None:
    intents = Intents()
    intents.observe(Event(Kind.SESSION_START, "start", NOW, {"session_id": "s"}))
    assert intents.observe_all(lines(Kind.SESSION_QUERY, ["a", "b", "c"]).briefs) == []
    assert intents.observe_all(lines(Kind.SESSION_QUERY_END, ["x"], queries=["b"]).briefs) == []
    intents.observe(Event(Kind.SESSION_QUERY_END, "y", NOW, {"session_id": "s", "query_id": "a"}))
    assert [event.id for event in intents.open()] == ["c", "start"]
    assert [event.id for event in from_json(intents.to_json()).open()] == ["c", "start"]
    left = intents.observe(Event(Kind.SESSION_END, "end", NOW, {"session_id": "s"}))
    assert [(event.id, event.fields["session_id"]) for event in left] == [("c", "s")]


def test_the_end_of_all_leaves_nothing_open() -> None:
    intents = Intents()
    intents.observe_all(lines(Kind.SESSION_QUERY, ["a", "b"]).briefs)
    intents.observe_all(lines(Kind.SESSION_QUERY_END, ["x", "y"], queries=["a", "b"]).briefs)
    assert intents.open() == []


def test_an_end_of_another_session_closes_nothing() -> None:
    intents = Intents()
    intents.observe_all(lines(Kind.SESSION_QUERY, ["a"]).briefs)
    intents.observe_all(lines(Kind.SESSION_QUERY_END, ["x"], session="other", queries=["a"]).briefs)
    assert [event.id for event in intents.open()] == ["a"]
