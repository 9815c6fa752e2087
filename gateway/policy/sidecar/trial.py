"""What only a running OPA with the cluster's own data can tell of a bundle, before it takes effect.

It is asked what was asked lately, and one question of each kind for some databases. An answer that is no
decision (an obligation that nobody knows, a rule with two values) or that takes too long refuses the bundle.
"""

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gateway.clock import Clock
from gateway.errors import ConfigError, PolicyError
from gateway.model.classification import Class, Classification, Effect, ObjectRef
from gateway.policy import answer, document
from gateway.policy.client import PolicyClient

_ID = "trial"
_TRIES = 3  # a machine that is busy elsewhere must not look like a slow policy
_PATIENCE = 10  # how many times the limit is waited, to tell slow from silent
_DATABASES = 5
_ROLES = 20
_PATH = "query_batch/answers"
_DENY = re.compile(r"^(deny|applies)\b", re.MULTILINE)

_TABLE = ObjectRef("table", "orders", "public", "app")
_KINDS = (
    ("select", Class.READ), ("update", Class.WRITE), ("delete", Class.WRITE), ("drop", Class.DDL),
    ("grant", Class.DCL), ("copy_out", Class.READ), ("call", Class.ADMIN),
)  # fmt: skip


def questions(
    recorded: Iterable[Mapping[str, Any]], data: Mapping[str, Any], revision: int
) -> Iterator[bytes]:
    """The questions to try: recorded ones as of now, then made-up ones."""
    for value in recorded:
        session = {**value["session"], "data_revision": revision}
        yield document.query_item(document.encode(session), document.encode(value["statements"]))
    # All at once, and for the first database each alone: a refusal of one hides what a yes would be tied to.
    statements = [item.to_json() for item in _statements()]
    together, alone = document.encode(statements), [document.encode([item]) for item in statements]
    databases = [*list(data.get("databases", {}).items())[:_DATABASES], ("unlabelled", {})]
    for number, (name, about) in enumerate(databases):
        session = {
            "user": next(iter(data.get("users", {})), "nobody"),
            "roles": sorted(data.get("roles", {}))[:_ROLES],
            "data_revision": revision,
            "database": {
                "name": name,
                "protocol": about.get("protocol", "postgres"),
                "labels": about.get("labels", {}),
            },
            "db_user": "app",
            "db_name": "app",
            "client_address": "127.0.0.1",
        }
        for facts in [together, *alone] if number == 0 else [together]:
            yield document.query_item(document.encode(session), facts)


async def attempt(
    asker: PolicyClient, asked: Sequence[bytes], limit_ms: int, clock: Clock, files: Mapping[str, str]
) -> None:
    """Ask each question; *files* are the team's, by name, to point at the place.

    Raises:
        ConfigError: an answer is no decision, or none of three came within the limit.
    """
    for item in asked:
        body = document.batch({_ID: item}, clock.now_ns())
        for left in reversed(range(_TRIES)):
            started = time.monotonic()
            try:
                value = await asker.ask_raw(_PATH, body, _PATIENCE * limit_ms / 1000)
                found = answer.answered(value, {_ID: None})[_ID]
            except PolicyError as error:
                if left or time.monotonic() - started < limit_ms / 1000:
                    _check_silent(error, left, files)
                    continue
                raise ConfigError(_slow(limit_ms, files)) from error
            if answer.query(found).reasons == (answer.INVALID,):
                raise ConfigError(_not_a_decision(found, files))
            if (time.monotonic() - started) * 1000 <= limit_ms:
                break
            if not left:
                raise ConfigError(_slow(limit_ms, files))


def _check_silent(error: PolicyError, left: int, files: Mapping[str, str]) -> None:
    if not left:
        raise ConfigError(f"{_place(files)}the policy gives no answer: {error}") from error


def _slow(limit_ms: int, files: Mapping[str, str]) -> str:
    return f"{_place(files)}the policy takes more than {limit_ms} ms for one question"


def _not_a_decision(found: Any, files: Mapping[str, str]) -> str:
    obligations = found.get("obligations") if isinstance(found, dict) else None
    names = sorted(obligations) if isinstance(obligations, dict) else []
    for name in names:
        for file, text in files.items():
            for number, line in enumerate(text.splitlines(), 1):
                if re.search(rf"\b{re.escape(name)}\b", line):
                    return f"{file}:{number}: the obligation {name!r} is none that can be carried out so"
    about = f"; it has the obligations {', '.join(names)}" if names else ""
    return f"{_place(files)}an answer of the policy is no decision{about}: {json.dumps(found)[:200]}"


def _place(files: Mapping[str, str]) -> str:
    """Where to look when only one rule can be meant, or the first of the team's rules."""
    for file, text in sorted(files.items()):
        found = _DENY.search(text)
        if found is not None:
            return f"{file}:{text.count(chr(10), 0, found.start()) + 1}: "
    return ""


def _statements() -> Iterator[Classification]:
    for operation, cls in _KINDS:
        yield Classification(operation, cls, (Effect(operation, cls, _TABLE, ("id",)),))
    yield Classification("unknown", Class.UNKNOWN, (), complete=False, unknown_reason="syntax")
