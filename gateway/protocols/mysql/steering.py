"""Which statements may change how the ones behind them are read, so that the server must be asked.

Stored functions and procedures run under settings of their own, which the server puts back; what remains is
said in the statement itself. A few words are looked for in the text where it was not understood: the words
can be written in one way only, whatever stands around them.
"""

import re
from typing import Final

from gateway.model.classification import Classification
from gateway.sansio.exchange import Facts

_WORDS: Final = re.compile(
    r"\b(?:set|use|call|execute|prepare|drop|do|begin|if|case|loop|while|repeat|for|load|source|reset)\b",
    re.IGNORECASE,
)
_OPERATIONS: Final = frozenset({"use", "call", "execute", "do", "drop", "reset"})
_HARMLESS: Final = frozenset({"autocommit", "time_zone", "transaction_isolation", "tx_isolation"})


_DEFINES: Final = frozenset({"create", "alter", "drop", "import"})


def defines(facts: Facts) -> bool:
    """True when other tables, views or columns may exist once this has run."""
    return any(
        not item.complete or any(effect.operation in _DEFINES for effect in item.effects) for item in facts
    )


def steers(text: str, facts: Facts) -> bool:
    """True when the server may read the next statement otherwise once this one has run."""
    return any(_steers(text, item) for item in facts)


def _steers(text: str, item: Classification) -> bool:
    if not item.complete:
        return not text or _WORDS.search(text) is not None
    if any(setting.name.lower() not in _HARMLESS for setting in item.settings):
        return True
    return item.operation in _OPERATIONS or any(effect.operation in _OPERATIONS for effect in item.effects)
