"""What a client asks a database to run, before anybody has understood it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.model.classification import Classification


class Phase(StrEnum):
    """The moment at which a statement is judged."""

    QUERY = "query"  # sent to run at once
    PREPARE = "prepare"  # sent to be parsed and kept
    BIND = "bind"  # a kept statement gets its values; planning may run functions
    EXECUTE = "execute"  # a bound statement runs


@dataclass(frozen=True, slots=True)
class Relation:
    """A catalogue entry for a table, view or sequence: ``kind`` is the server's word for it.

    ``columns`` stand in their order in a ``*``, and beside them ``types``, as the server writes them, and
    ``numbers``; ``oid`` and a number say in a result where a column comes from.
    """

    kind: str
    columns: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    oid: int = 0


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a database user can see, read over a second connection.

    ``relations`` maps (schema, name) to the relation; ``functions`` holds (schema, name) of every function
    that is not in ``pg_catalog``; ``operators`` likewise. ``numbers`` says which type a client means by its
    number. ``casts`` are the functions that casts to a type may run, and ``implicit`` those of them that run
    where no cast is written. ``shares`` says for a relation whose rows it shows: a view its sources', a
    parent its children's and the other way round; only what is one step away.
    """

    relations: Mapping[tuple[str, str], Relation]
    functions: frozenset[tuple[str, str]] = frozenset()
    operators: frozenset[tuple[str, str]] = frozenset()
    types: frozenset[tuple[str, str]] = frozenset()
    numbers: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    casts: Mapping[tuple[str, str], frozenset[tuple[str, str]]] = field(default_factory=dict)
    implicit: frozenset[tuple[str, str]] = frozenset()
    shares: Mapping[tuple[str, str], frozenset[tuple[str, str]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NameContext:
    """How the backend would resolve a name that stands without a schema, as far as it is known.

    ``search_path`` is None when it is not known at this moment; then unqualified names are unknown.
    ``catalog`` is None when nobody needed it or it could not be read.
    ``has_temporary`` says that this session may have made a temporary object.
    """

    db_name: str
    db_user: str
    search_path: tuple[str, ...] | None = None
    catalog: Catalog | None = None
    has_temporary: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement text with the context its names stand in.

    ``dialect`` is sqlglot's name. ``settings`` are start-up settings that are judged as ``SET`` would be;
    a statement with settings has no text. ``unreadable`` is set when the bytes could not be decoded or the
    text of a prepared statement is not known; then ``text`` is empty and the reason says why. ``parameters``
    are the numbers of types that are not built in and that the client fixed: reading a value runs their code.
    ``arguments`` are a command's, its name first, where the protocol has commands instead of text. ``modes``
    are the words of the session's settings that steer how text is read (MySQL: of ``sql_mode``, in capitals),
    None while they are not known. ``cursor`` is what declared the cursor that the statement reads, where the
    session knows that.
    """

    text: str
    dialect: str
    names: NameContext
    settings: Mapping[str, str] = field(default_factory=dict)
    unreadable: str = ""
    server_version: str = ""
    parameters: tuple[int, ...] = ()
    arguments: tuple[bytes, ...] = ()
    modes: frozenset[str] | None = frozenset()
    cursor: Classification | None = None
