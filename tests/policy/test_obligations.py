"""Obligations are read strictly, and the strictest of several wins, in whatever order they come."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.model.obligation import CONCEALING, KINDS, NONE, Conceal, Hold, Mask, Obligations, RowFilter
from gateway.policy.obligations import merge, parse, to_json


def _json(value: Mask | RowFilter) -> dict[str, Any]:
    return {name: str(getattr(value, name)) for name in value.__dataclass_fields__}


masks = st.builds(
    Mask, st.just("app"), st.sampled_from("ab"), st.sampled_from("xy"), st.sampled_from(list(Conceal))
)
filters = st.builds(RowFilter, st.just("app"), st.sampled_from("ab"), st.sampled_from(["rows/eu", "rows/us"]))
asked = st.fixed_dictionaries(
    {},
    optional={
        "mask": st.lists(masks.map(_json), min_size=1, max_size=6),
        "row_filter": st.lists(filters.map(_json), min_size=1, max_size=4),
        "max_rows": st.lists(st.integers(1, 50), min_size=1, max_size=3),
        "timeout_ms": st.lists(st.integers(1, 50), min_size=1, max_size=3),
        "hold": st.lists(
            st.fixed_dictionaries({"seconds": st.integers(1, 50), "reason": st.sampled_from(["", "why"])}),
            min_size=1,
            max_size=3,
        ),
    },
)


def test_the_strictest_wins() -> None:
    mask = {"schema": "app", "table": "people", "column": "ssn"}
    found = parse(
        {
            "mask": [{**mask, "how": how} for how in ("partial", "null", "hash")],
            "max_rows": [10, 3, 7],
            "timeout_ms": [100, 200],
            "hold": [{"seconds": 60, "reason": "b"}, {"seconds": 5, "reason": "a"}],
        }
    )
    assert found == Obligations(
        masks=(Mask("app", "people", "ssn", Conceal.NULL),), max_rows=3, timeout_ms=100, hold=Hold(5, "a")
    )
    assert found.kinds == {"mask", "max_rows", "timeout_ms", "hold"}


def test_nothing_asked_is_always_the_same_object() -> None:
    assert parse({}) is NONE
    assert not NONE.kinds
    assert to_json(NONE) == {}


@given(asked, asked)
def test_merging_is_what_reading_all_together_would_be(left: dict[str, Any], right: dict[str, Any]) -> None:
    together = {kind: [*left.get(kind, ()), *right.get(kind, ())] for kind in {*left, *right}}
    merged = merge(parse(left), parse(right))
    assert merged == parse(together) == merge(parse(right), parse(left))
    assert merge(merged, merged) == merged
    assert set(to_json(merged)) == set(together) == merged.kinds <= set(KINDS)


@given(asked)
def test_no_mask_is_weaker_than_one_that_was_asked_for(value: dict[str, Any]) -> None:
    found = {(each.schema, each.table, each.column): each.how for each in parse(value).masks}
    for mask in value.get("mask", ()):
        how = found[mask["schema"], mask["table"], mask["column"]]
        assert CONCEALING.index(how) >= CONCEALING.index(Conceal(mask["how"]))
