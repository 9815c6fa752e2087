"""A statement with its duty written into it: masks and row filters in FROM, a bound around a cursor's query.

Only what is understood as a whole is rewritten. In the place of each relation from which something is
concealed goes a subquery (``masking``); everything else stays as it was sent. The outcome is read again, and
each concealed relation must stand in such a subquery and nowhere else. Where a masked column is used for more
than being shown, or where rows would leave by another way, the statement is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.classify.doubt import DoubtError
from gateway.classify.postgres import limits, reader
from gateway.classify.postgres.cursor import Cursor
from gateway.classify.postgres.lexer import Token, tokenize
from gateway.classify.postgres.reduced import quote
from gateway.classify.relation import Relation as Used
from gateway.classify.tokens import NAMES, WORD
from gateway.model.classification import Classification
from gateway.model.statement import NameContext
from gateway.protocols.postgres import concealment, ties
from gateway.protocols.postgres.concealment import Key, RefusedError
from gateway.protocols.postgres.masking import ALIAS, Concealed
from gateway.protocols.postgres.sources import Place, Sources, find
from gateway.sansio.exchange import Duty, Facts

LONGEST: Final = 16 << 10  # characters; reading a longer text again would hold others up
_BOUND: Final = "regate_bound"
_QUERIES: Final = frozenset(("select", "with", "values", "table", "insert", "update", "delete", "merge"))
_ROWS_ELSEWHERE: Final = {
    "copy_out": "rows are bounded here: write COPY (SELECT …) TO instead",
    "fetch": "rows are bounded here, and nothing is known of that cursor",
    "move": "rows are bounded here, and nothing is known of that cursor",
}
# Statements that touch a concealed relation without showing anything of it.
_SHOW_NOTHING: Final = frozenset(("comment", "copy_in", "lock", "truncate"))


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The text to send, and the columns that no result may have, as (table, number)."""

    text: str
    masked: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str


def rewrite(text: str, facts: Facts, names: NameContext, duty: Duty) -> Rewritten:
    """*text* with *duty* done; the same text where there is nothing to do.

    Raises:
        RefusedError: the duty cannot be done with this statement.
    """
    concealed = concealment.of(duty, names)
    _check_known(facts, names, duty)
    bound = duty.obligations.max_rows
    if not concealed and bound is None:
        return Rewritten(text)
    if len(text) > LONGEST:
        message = f"a statement of more than {LONGEST} characters is not rewritten"
        raise RefusedError("statement_too_long", message)
    try:
        tokens = tokenize(text)
        limits.check(tokens)
        pieces = reader.split(tokens)
        if len(pieces) != len(facts):
            raise RefusedError("obligation_unsupported", "the statements could not be told apart")
        work = _Work(names, concealed, duty, bound)
        for piece, item in zip(pieces, facts, strict=True):
            work.piece(piece, item)
        rewritten = _applied(text, work.edits)
        if concealed:
            _check(rewritten, names, concealed, work.replaced)
    except DoubtError as error:
        message = f"the statement was not understood well enough to be rewritten ({error.reason.value})"
        raise RefusedError("obligation_unsupported", message) from error
    masked = frozenset(number for each in concealed.values() for number in each.numbers())
    return Rewritten(rewritten, masked)


def _check_known(facts: Facts, names: NameContext, duty: Duty) -> None:
    """Refuse a use of what is to be concealed and was not there when the catalogue was read."""
    unknown = concealment.unknown(duty, names.catalog)
    for item in facts:
        for effect in item.effects:
            found = effect.object
            if found is not None and (found.schema, found.name) in unknown:
                told = f"{found.schema}.{found.name} is to be concealed in part, and is not known yet"
                raise RefusedError("relation_unknown", told)


class _Work:
    """The edits of one text as they come together."""

    def __init__(
        self, names: NameContext, concealed: Mapping[Key, Concealed], duty: Duty, bound: int | None
    ) -> None:
        self.names = names
        self.concealed = concealed
        self.salt = duty.salt
        self.bound = bound
        self.edits: list[_Edit] = []
        self.replaced = 0

    def piece(self, tokens: list[Token], item: Classification) -> None:
        """One statement."""
        if any(token.kind in NAMES and token.value in {ALIAS, _BOUND} for token in tokens):
            raise RefusedError(
                "obligation_unsupported", f"{ALIAS} and {_BOUND} are names of the gateway's own"
            )
        if self.concealed and self.names.catalog is not None:
            ties.check(item, self.names.catalog, self.concealed)
        inner, wraps = _inner(tokens)
        if inner is None:
            self._other(item)
            return
        if self.concealed:
            self._query(inner)
        if wraps and self.bound is not None:
            if any(effect.operation in concealment.CHANGES for effect in item.effects):
                raise RefusedError("max_rows_refused", "rows of a change cannot be counted here")
            first, last = inner[0].start, inner[-1].end
            self.edits.append(_Edit(first, first, "SELECT * FROM ("))
            self.edits.append(_Edit(last, last, f"\n) AS {_BOUND} LIMIT {self.bound}"))

    def _other(self, item: Classification) -> None:
        """A statement that is no query: what it touches must not be concealed."""
        if self.bound is not None and item.operation in _ROWS_ELSEWHERE:
            raise RefusedError("max_rows_refused", _ROWS_ELSEWHERE[item.operation])
        if not self.concealed:
            return
        for effect in item.effects:
            if effect.object is None:
                continue
            key = (effect.object.schema, effect.object.name)
            if effect.operation == "truncate":
                self._may_be_emptied(key, item)
            if effect.operation in _SHOW_NOTHING:
                continue
            if effect.object.kind == "schema" and effect.object.name in {each[0] for each in self.concealed}:
                # Under another name its relations would be shown as they are.
                raise self._refused(("", effect.object.name), "holds what is concealed, so it stays as it is")
            if effect.object.kind in concealment.RELATIONS:
                self._may_be_read(key)
            if key in self.concealed:
                raise self._refused(key, f"is concealed in part, so {item.operation} is refused")

    def _may_be_emptied(self, key: Key, item: Classification) -> None:
        """Refuse what removes rows that are filtered out: of the relation, or of what hangs on it."""
        if not any(found.condition for found in self.concealed.values()):
            return
        self._may_be_read(key)
        if key in self.concealed and self.concealed[key].condition:
            raise self._refused(key, "has rows that are concealed, so truncate is refused")
        if "cascade" in item.text.lower():
            raise self._refused(
                key, "may be referred to by what is concealed, so truncate cascade is refused"
            )

    def _may_be_read(self, key: Key) -> None:
        """Refuse what shows rows of a concealed relation under another name, or may."""
        catalog = self.names.catalog
        if catalog is None or not concealment.exists(catalog, *key):
            raise RefusedError("relation_unknown", f"what {'.'.join(filter(None, key))} shows is not known")
        hidden = concealment.shares(key, self.names, self.concealed)
        if hidden is not None:
            more = ", of which more is concealed" if key in self.concealed else ", which is concealed in part"
            raise self._refused(key, f"shows rows of {'.'.join(hidden)}{more}")

    def _refused(self, key: Key, told: str) -> RefusedError:
        return RefusedError("mask_refused", f"{'.'.join(key)} {told}")

    def _query(self, tokens: list[Token]) -> None:
        sources = find(tokens)
        keys = [concealment.resolve(relation, self.names) for relation in sources.relations]
        for key in keys:
            self._may_be_read(key)
        concealment.check_uses(sources, keys, self.concealed)
        places = {place.relation: place for place in sources.places}
        for number, (relation, key) in enumerate(zip(sources.relations, keys, strict=True)):
            found = self.concealed.get(key)
            if found is None or number not in places:
                continue
            place = places[number]
            if not place.is_free:
                raise self._refused(key, "is concealed in part and stands where it cannot be replaced")
            needed = _needed(sources, number, relation, place, found)
            instead = found.instead(needed, self.salt)
            alias = "" if place.has_alias else f" AS {quote(relation.name)}"
            self.edits.append(_Edit(tokens[place.start].start, tokens[place.stop - 1].end, instead + alias))
            self.replaced += 1


def _inner(tokens: list[Token]) -> tuple[list[Token] | None, bool]:
    """The query in a statement, None if it is none; and whether it may be wrapped."""
    first = tokens[0]
    if first.value == "(" or (first.kind is WORD and first.value in _QUERIES):
        return tokens, False
    cursor = Cursor(tokens)
    if cursor.take("copy") and cursor.is_mark("("):
        return cursor.brackets(), True
    if cursor.take("declare"):
        cursor.name()
        while cursor.take_any(frozenset(("binary", "insensitive", "asensitive", "scroll", "no"))):
            pass
        cursor.expect("cursor")
        if cursor.take_any(frozenset(("with", "without"))):
            cursor.expect("hold")
        cursor.expect("for")
        return cursor.rest(), True
    return None, False


def _needed(sources: Sources, number: int, relation: Used, place: Place, found: Concealed) -> frozenset[str]:
    """The columns that the statement may mean; all of them where it says ``*``."""
    columns = set(relation.does("select").columns)
    if "*" in columns or place.renames or any(number == whole for whole, _ in sources.rows):
        return frozenset(found.relation.columns)
    for loose in sources.loose:
        if any(number in group for group in loose.groups):
            columns.add(loose.name)
    for use in sources.uses:
        if number in use.relations:
            columns.add(use.name)
    return frozenset(columns)


def _applied(text: str, edits: list[_Edit]) -> str:
    for edit in sorted(edits, key=lambda each: (each.start, each.end), reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _check(text: str, names: NameContext, concealed: Mapping[Key, Concealed], replaced: int) -> None:
    """Read the outcome: concealed relations stand in subqueries of ours, as many as were made."""
    found = 0
    for tokens in reader.split(tokenize(text)):
        inner, _ = _inner(tokens)
        if inner is None:
            continue
        sources = find(inner)
        for place in sources.places:
            key = concealment.resolve(sources.relations[place.relation], names)
            if key not in concealed:
                continue
            behind = [token.value for token in inner[place.stop : place.stop + 2]]
            if behind != ["as", ALIAS]:
                raise RefusedError("obligation_unsupported", "a concealed relation was left where it stood")
            found += 1
    if found != replaced:
        raise RefusedError("obligation_unsupported", "the rewritten statement does not read as it was meant")
