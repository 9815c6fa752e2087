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
class ForeignKey:
    """Columns of ``relation`` that refer to columns of ``target``, both as (schema, name).

    ``spreads`` says that a change of the target changes rows here (CASCADE, SET NULL, SET DEFAULT).
    """

    relation: tuple[str, str]
    columns: frozenset[str]
    target: tuple[str, str]
    referred: frozenset[str]
    spreads: bool = False


@dataclass(frozen=True, slots=True)
class Ties:
    """What a change may tell of, or set going, that its text does not name.

    ``unique`` and ``checked`` hold for a relation the groups of columns that one unique index, or one check
    over several columns, is about. ``code`` are relations of which a default, a trigger, an index or the like
    calls a function that is not built in; ``opens_cursors`` says that there is a function that may open a
    cursor under a name, ``runs_late`` that a trigger may run at the end of a transaction.
    """

    foreign_keys: frozenset[ForeignKey] = frozenset()
    unique: Mapping[tuple[str, str], frozenset[frozenset[str]]] = field(default_factory=dict)
    checked: Mapping[tuple[str, str], frozenset[frozenset[str]]] = field(default_factory=dict)
    code: frozenset[tuple[str, str]] = frozenset()
    opens_cursors: bool = False
    runs_late: bool = False


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a database user can see, read over a second connection.

    ``relations`` maps (schema, name) to the relation; ``functions`` holds (schema, name) of every function
    that is not in ``pg_catalog``; ``operators`` likewise. ``numbers`` says which type a client means by its
    number. ``casts`` are the functions that casts to a type may run, and ``implicit`` those of them that run
    where no cast is written. ``shares`` says for a relation whose rows it shows: a view its sources', a
    parent its children's and the other way round; only what is one step away. ``ties`` is what else hangs on
    a relation.
    """

    relations: Mapping[tuple[str, str], Relation]
    functions: frozenset[tuple[str, str]] = frozenset()
    operators: frozenset[tuple[str, str]] = frozenset()
    types: frozenset[tuple[str, str]] = frozenset()
    numbers: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    casts: Mapping[tuple[str, str], frozenset[tuple[str, str]]] = field(default_factory=dict)
    implicit: frozenset[tuple[str, str]] = frozenset()
    shares: Mapping[tuple[str, str], frozenset[tuple[str, str]]] = field(default_factory=dict)
    ties: Ties = field(default_factory=Ties)

    def family(self, key: tuple[str, str]) -> frozenset[tuple[str, str]]:
        """*key* and every relation whose rows it shows, be it through several others."""
        seen, ahead = {key}, [key]
        while ahead:
            for source in self.shares.get(ahead.pop(), ()):
                if source not in seen:
                    seen.add(source)
                    ahead.append(source)
        return frozenset(seen)


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
