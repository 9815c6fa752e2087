"""Whether an entry of a corpus came out as it must: the end it got, and for controls what was understood.

Names in a corpus are written by people: a verb may have its object behind it (``CREATE FUNCTION``), a table
may stand without its schema. Words that are no name at all (``app.<odd name>``) are for readers and not
compared.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from gateway.analysis.corpus import Entry, Must
from gateway.model.classification import Classification
from gateway.sansio.rehearsal import End, Ending

_RELATIONS: Final = frozenset({"table", "view", "materialized_view", "foreign_table", "collection"})
_NAME: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*\Z")
_SAME_VERB: Final = {
    "start": "begin",
    "end": "commit",
    "abort": "rollback",
    "values": "select",
    "table": "select",
}
# Written as calls, and none to the classifier: the grammar has them.
_NO_CALLS: Final = frozenset({"cast", "coalesce", "greatest", "least", "nullif", "grouping"})


@dataclass(frozen=True, slots=True)
class Result:
    """An entry and what became of it; ``differences`` is empty when it came out as it must."""

    entry: Entry
    ending: Ending
    differences: tuple[str, ...]


def result(entry: Entry, ending: Ending) -> Result:
    """*ending* held against what *entry* asks for."""
    return Result(entry, ending, tuple(_differences(entry, ending)))


def _differences(entry: Entry, ending: Ending) -> Iterator[str]:
    if entry.must is not Must.PARSE:
        # What is refused in the clear is refused: such an entry may be about nothing else.
        if ending.end is End.ALLOWED and not ending.needs_tls:
            yield "it was allowed"
        return
    if ending.end is not End.ALLOWED:
        yield f"it was refused ({ending.end.value}): {ending.sentence}"
    expect, facts = entry.expect, ending.facts
    if "verbs" in expect:
        yield from _verbs(expect["verbs"], facts)
    if "tables" in expect:
        yield from _compare(
            "tables", _names(expect["tables"]), _tables(facts), exactly=_all_names(expect["tables"])
        )
    if "functions" in expect:
        wanted = {name.rpartition(".")[2].lower() for name in _names(expect["functions"])} - _NO_CALLS
        found = {named.name.lower() for item in facts for named in item.functions}
        yield from _compare("functions", wanted, found, exactly=_all_names(expect["functions"]))
    if "operators" in expect:
        operators = {named.name for item in facts for named in item.operators}
        wanted = {name.rpartition(".")[2] if "." in name[1:] else name for name in expect["operators"]}
        yield from _compare("operators", wanted, operators, exactly=False)


def _verbs(expected: tuple[str, ...], facts: tuple[Classification, ...]) -> Iterator[str]:
    wanted = [_verb(verb) for verb in expected]
    found = [_verb(item.operation) for item in facts]
    inner = {_verb(effect.operation) for item in facts for effect in item.effects}
    is_inner = set(found) < set(wanted) <= {*found, *inner}  # WITH … DELETE … SELECT, told as two
    if wanted != found and not is_inner:
        yield f"verbs: expected {_list(expected)}, found {_list(item.operation for item in facts)}"


def _verb(text: str) -> str:
    """``CREATE FUNCTION`` and ``create``, ``COPY`` and ``copy_out`` are the same verb here."""
    word = re.split(r"[\s_]", text.strip().lower(), maxsplit=1)[0]
    return _SAME_VERB.get(word, word)


def _compare(what: str, wanted: set[str], found: set[str], *, exactly: bool) -> Iterator[str]:
    missing = {name for name in wanted if not any(_is_same(name, other) for other in found)}
    extra = (
        {name for name in found if not any(_is_same(other, name) for other in wanted)} if exactly else set()
    )
    if missing or extra:
        yield f"{what}: expected {_list(sorted(wanted))}, found {_list(sorted(found))}"


def _is_same(written: str, found: str) -> bool:
    return written == found or ("." not in written and found.rpartition(".")[2] == written)


def _names(values: Iterable[str]) -> set[str]:
    return {value for value in values if _NAME.match(value)}


def _all_names(values: Iterable[str]) -> bool:
    return all(_NAME.match(value) for value in values)


def _tables(facts: tuple[Classification, ...]) -> set[str]:
    things = [effect.object for item in facts for effect in item.effects]
    return {
        f"{thing.schema}.{thing.name}" if thing.schema else thing.name
        for thing in things
        if thing is not None and thing.kind in _RELATIONS
    }


def _list(values: Iterable[str]) -> str:
    return ", ".join(values) or "nothing"
