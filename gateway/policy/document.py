"""The questions put to the policy, as the JSON that ``schemas/input.*.json`` describe. Pure.

A session's part and a statement's facts are encoded once; what is asked per query is joined from those bytes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.model.identity import Identity, Subject
from gateway.model.joining import Grant, Joining
from gateway.model.resource import Database
from gateway.policy import expression
from gateway.sansio.exchange import Facts

CONTRACT = 1

# One question of more than this is refused unasked: OPA would be busy with it while others wait.
MAX_ITEM = 256 * 1024
MAX_ALIKE = 4 * 1024  # of facts that are found again for another text

_encode_text = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def encode(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no blanks, ASCII. Equal values give equal bytes."""
    return _encode_text(value).encode("ascii")


def digest(document: bytes) -> str:
    """The SHA-256 of canonical JSON, in hexadecimal."""
    return hashlib.sha256(document).hexdigest()


@dataclass(frozen=True, slots=True)
class ConnectQuestion:
    """May this identity open this database; ``database`` is None for a name that nothing is enrolled under.

    An unknown database is asked about all the same, so that its refusal has the words and the timing of one
    that the user may not see. ``active_connections`` is zero when a live session is judged again.
    """

    identity: Identity
    database: Database | None
    db_user: str
    db_name: str
    client_address: str
    session_id: str
    time_ns: int
    active_connections: int = 0

    def to_json(self) -> dict[str, Any]:
        """The input of ``gateway.connect``; an unknown database leaves its key out."""
        document: dict[str, Any] = {
            "contract": CONTRACT,
            "time": self.time_ns,
            "identity": _identity(self.identity),
            "db_user": self.db_user,
            "db_name": self.db_name,
            "client_address": host_of(self.client_address),
            "session_id": self.session_id,
            "active_connections": self.active_connections,
        }
        if self.database is not None:
            document["database"] = _database(self.database)
        return document


@dataclass(frozen=True, slots=True)
class AgentQuestion:
    """May a service that joined with the token of that name do *verb*."""

    id: str
    service: str
    token: str
    verb: str

    def to_json(self, time_ns: int) -> dict[str, Any]:
        """The input of ``gateway.agent``."""
        return {
            "contract": CONTRACT,
            "time": time_ns,
            "agent": {"id": self.id, "service": self.service, "token": self.token},
            "verb": self.verb,
        }


@dataclass(frozen=True, slots=True, eq=False)
class SessionQuestion:
    """What is fixed at connect and asked with every query.

    ``content`` leaves the session id out, so that equal questions of different sessions are asked once. It is
    made with the first query: of thousands that are judged again at once, most are idle.
    """

    user: str
    roles: tuple[str, ...]
    data_revision: int
    database: Database
    db_user: str
    db_name: str
    session_id: str
    client_address: str
    _content: bytes = field(init=False, repr=False, default=b"")
    _digests: dict[bytes, str] = field(init=False, repr=False, default_factory=dict)

    @property
    def content(self) -> bytes:
        """Its canonical JSON, the same bytes each time."""
        if not self._content:
            object.__setattr__(self, "_content", self._encoded())
        return self._content

    def _encoded(self) -> bytes:
        document = {
            "user": self.user,
            "roles": list(self.roles),
            "data_revision": self.data_revision,
            "database": _database(self.database),
            "db_user": self.db_user,
            "db_name": self.db_name,
            "client_address": host_of(self.client_address),
        }
        return encode(document)

    def digest(self, facts: bytes) -> str:
        """The digest of ``{"session": …, "statements": …}``, kept for statements that come again."""
        known = self._digests.get(facts)
        if known is None:
            if len(self._digests) >= 64:  # enough for the statements an application prepares
                self._digests.clear()
            known = digest(b'{"session":%b,"statements":%b}' % (self.content, facts))
            self._digests[facts] = known
        return known


class FactsCache:
    """The encoded facts of statements, found by identity: the classifier hands out the same tuple again."""

    def __init__(self, limit: int = 4096, most_bytes: int = 32 << 20) -> None:
        """Of at most *limit* tuples, in *most_bytes*; of the large ones, which anybody can send, none."""
        self._limit = limit
        self._most_bytes = most_bytes
        self._bytes = 0
        self._known: dict[int, tuple[Facts, bytes]] = {}
        self._alike: dict[tuple[object, ...], tuple[Facts, bytes]] = {}

    def encode(self, facts: Facts) -> bytes:
        """The JSON list of the statements' facts."""
        known = self._known.get(id(facts))
        if known is not None and known[0] is facts:
            return known[1]
        encoded = self._encoded(facts)
        if len(encoded) > MAX_ITEM:
            return encoded
        self._bytes += len(encoded)
        while self._known and (len(self._known) >= self._limit or self._bytes > self._most_bytes):
            self._bytes -= len(self._known.pop(next(iter(self._known)))[1])
        # The entry holds the tuple itself, so its id cannot be given to another while it stands here.
        self._known[id(facts)] = (facts, encoded)
        return encoded

    def _encoded(self, facts: Facts) -> bytes:
        """Made here; for one that differs from another in its text alone, which is not sent, found again."""
        key = facts[0].sameness() if len(facts) == 1 else ()
        known = self._alike.get(key)
        if known is not None:
            return known[1]
        encoded = encode([classification.to_json() for classification in facts])
        if key and len(encoded) <= MAX_ALIKE:
            if len(self._alike) >= self._limit:
                del self._alike[next(iter(self._alike))]
            self._alike[key] = (facts, encoded)  # it holds what the key's ids are of
        return encoded


def query_item(session: bytes, facts: bytes) -> bytes:
    """One item of a batch."""
    return b'{"request":{"statements":%b},"session":%b}' % (facts, session)


def batch(items: Mapping[str, bytes], time_ns: int) -> bytes:
    """The request body of a batch entry point."""
    joined = b",".join([b'"%b":%b' % (key.encode("ascii"), item) for key, item in items.items()])
    return b'{"input":{"contract":%d,"items":{%b},"time":%d}}' % (CONTRACT, joined, time_ns)


def question(document: Mapping[str, Any]) -> bytes:
    """The request body of a single question."""
    return b'{"input":%b}' % encode(document)


def connect_item(asked: ConnectQuestion) -> bytes:
    """One item of a batch of connects, of no session; the contract and the time stand in the batch."""
    document = asked.to_json()
    del document["contract"], document["time"]
    document["session_id"] = ""
    return encode(document)


def visible(identity: Identity, databases: Sequence[Database], time_ns: int) -> dict[str, Any]:
    """The input of ``gateway.visible``."""
    return {
        "contract": CONTRACT,
        "time": time_ns,
        "identity": _identity(identity),
        "databases": [_database(database) for database in databases],
    }


def admin(subject: Subject, verb: str, kind: str, name: str, time_ns: int) -> dict[str, Any]:
    """The input of ``gateway.admin``."""
    return {
        "contract": CONTRACT,
        "time": time_ns,
        "subject": {"kind": subject.kind, "name": subject.name, "roles": list(subject.roles)},
        "verb": verb,
        "resource": {"kind": kind, "name": name},
    }


def login(user: str, time_ns: int) -> dict[str, Any]:
    """The input of ``gateway.login``."""
    return {"contract": CONTRACT, "time": time_ns, "user": user}


def join(grant: Grant, joining: Joining, time_ns: int) -> dict[str, Any]:
    """The input of ``gateway.join``; a bound that the grant does not have leaves its key out."""
    bounds: dict[str, Any] = {"types": list(grant.types)}
    if grant.labels is not None:
        bounds["labels"] = {name: list(values) for name, values in grant.labels.items()}
    if grant.databases is not None:
        bounds["databases"] = list(grant.databases)
    return {
        "contract": CONTRACT,
        "time": time_ns,
        "grant": bounds,
        "joining": {"type": joining.type, "databases": [_database(item) for item in joining.databases]},
    }


def host_of(address: str) -> str:
    """An address without its port: policies judge networks, and equal questions stay equal."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address


def index(roles: Mapping[str, Any], locks: Sequence[Any], guards: Sequence[Any] = ()) -> dict[str, Any]:
    """The input of ``gateway.prepare`` for a whole index; label expressions are parsed here."""
    return {
        "contract": CONTRACT,
        "roles": roles,
        "locks": locks,
        "guards": list(guards),
        "expressions": expression.programs(roles),
    }


def problems(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The input of ``gateway.prepare`` for one document, before it is stored."""
    return {
        "contract": CONTRACT,
        "document": resource,
        "expressions": expression.programs({"": resource}),
        "mistakes": expression.mistakes(resource),
    }


def _identity(identity: Identity) -> dict[str, Any]:
    return {
        "user": identity.user,
        "login_address": identity.login_address,
        "roles": list(identity.roles),
        # Whole seconds from the certificate; floats do not keep nanoseconds.
        "login_expires_ns": int(identity.login_expires.timestamp()) * 1_000_000_000,
    }


def _database(database: Database) -> dict[str, Any]:
    return {"name": database.name, "protocol": database.protocol, "labels": dict(database.labels)}
