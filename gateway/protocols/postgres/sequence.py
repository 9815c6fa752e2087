"""Several statements in one text: what an earlier one changes, the later ones meet.

They are judged together, before any of them runs, so the later ones are read in what may then be true: after
a change of the search path no unqualified name is known, after a definition the catalogue says nothing.
"""

from dataclasses import replace

from gateway.classify.sql import classify as classify_alone
from gateway.model.statement import NameContext, Statement
from gateway.protocols.postgres.cursors import as_read
from gateway.protocols.postgres.steering import Steer, steer_of
from gateway.sansio.exchange import Facts


def classify(statement: Statement) -> Facts:
    """The facts of every statement in the text, each in the context that the ones before it leave."""
    facts = classify_alone(statement)
    if statement.cursor is not None and len(facts) == 1:
        return as_read(facts, statement.cursor)
    names = statement.names
    for index in range(1, len(facts)):
        after = _after(names, steer_of(facts[index - 1].text, (facts[index - 1],)))
        if after is not names:
            names = after
            again = classify_alone(replace(statement, names=names))
            if len(again) == len(facts):
                facts = facts[:index] + again[index:]
    return facts


def _after(names: NameContext, steer: Steer) -> NameContext:
    """What is still known of *names* once a statement that steers so has run; the same object if all is."""
    path = None if steer.path else names.search_path
    catalog = None if steer.catalog or steer.temporary else names.catalog
    temporary = names.has_temporary or steer.temporary
    if (path, temporary) == (names.search_path, names.has_temporary) and catalog is names.catalog:
        return names
    return replace(names, search_path=path, catalog=catalog, has_temporary=temporary)
