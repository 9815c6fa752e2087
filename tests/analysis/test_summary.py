"""What somebody may do, in few words."""

import pytest

from gateway.analysis.candidates import FRESH, Act
from gateway.analysis.summary import summary
from gateway.model.classification import ObjectRef

TABLES = [ObjectRef("table", name, "app") for name in ("orders", "notes", FRESH)]
WORDS = ("alter", "create", "delete", "drop", "grant", "insert", "lock", "select", "truncate", "update")
EVERY = [Act(word, table) for table in TABLES for word in WORDS]
EVERY += [Act("delete", table, has_where=False) for table in TABLES] + [Act("not understood", None)]
CASES = [
    (EVERY, ["everything"]),
    ([], ["nothing"]),
    ([act for act in EVERY if act.object], ["everything on every table"]),
    ([Act("select", TABLES[0])], ["select on table app.orders"]),
    (
        [Act("select", TABLES[0]), Act("insert", TABLES[1]), Act("select", TABLES[2])],
        ["insert on table app.notes", "select on table app.(any other), app.orders"],
    ),
    (
        [act for act in EVERY if act.object == TABLES[0] and act.operation != "drop"] + [EVERY[-1]],
        ["everything but drop on table app.orders", "not understood"],
    ),
    ([Act("delete", TABLES[0], has_where=False)], ["delete without WHERE on table app.orders"]),
]


@pytest.mark.parametrize(("acts", "words"), CASES)
def test_what_is_the_same_for_several_objects_is_said_once(acts: list[Act], words: list[str]) -> None:
    assert summary(acts, EVERY) == words
