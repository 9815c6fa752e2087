"""What both directions of a session know: the pipeline, the names, the search path and COPY.

The search path is known, or it is None and is read again with the gateway's own ``SHOW search_path``, which
travels right behind the Sync or Query that put it in doubt and whose answer the client never sees. A utility
statement takes no snapshot, so it disturbs no transaction, and the named statement and portal leave the
client's unnamed ones alone.
"""

from typing import Final

from gateway.model.identity import Route
from gateway.model.statement import Catalog, NameContext
from gateway.protocols.postgres import messages, pipeline
from gateway.protocols.postgres.cursors import Cursor, Forgets
from gateway.protocols.postgres.path import parse_path
from gateway.protocols.postgres.pipeline import Expected, Pipeline
from gateway.protocols.postgres.registry import Registry
from gateway.protocols.postgres.steering import NOTHING, Steer
from gateway.sansio.protocol import Ready

_OWN_NAME: Final = b"gateway_path"
_ONLY_COPIES: Final = Steer(copy=True)
_ONLY_ENDS: Final = Steer(transaction=True)  # matters when the transaction changed the path
IDLE: Final = ord("I")
FAILED: Final = ord("E")

_READ_PATH: Final = b"".join(
    (
        messages.frame(messages.PARSE, _OWN_NAME + b"\0SHOW search_path\0\0\0"),
        messages.frame(messages.BIND, _OWN_NAME + b"\0" + _OWN_NAME + b"\0\0\0\0\0\0\0"),
        messages.frame(messages.EXECUTE, _OWN_NAME + b"\0\0\0\0\0"),
        messages.frame(messages.CLOSE, b"P" + _OWN_NAME + b"\0"),
        messages.frame(messages.CLOSE, b"S" + _OWN_NAME + b"\0"),
        messages.SYNC_FRAME,
    )
)
_READS_PATH: Final = (
    pipeline.OWN_PARSE,
    pipeline.OWN_BIND,
    pipeline.OWN_EXECUTE,
    pipeline.OWN_CLOSE,
    pipeline.OWN_CLOSE,
    pipeline.OWN_SYNC,
)


class State:
    """The state of one session, shared by its two directions."""

    __slots__ = (
        "awaits_all",
        "catalog_is_stale",
        "copy_may_follow",
        "ddl_is_open",
        "hides_details",
        "is_copying",
        "is_mid_pipeline",
        "path_is_asked",
        "path_is_touched",
        "pipeline",
        "registry",
        "segment",
        "status",
        "unsettled",
        "wants_path",
    )

    def __init__(self, ready: Ready, route: Route) -> None:
        names = NameContext(db_name=route.db_name, db_user=route.db_user, search_path=ready.search_path)
        self.registry = Registry(names, ready.server_version)
        self.registry.set_names(ready.search_path, None, temporary=False)
        self.pipeline = Pipeline(self.registry, self._settle)
        self.status = IDLE
        self.segment = 0  # counts Syncs as the client sends them
        self.is_mid_pipeline = False  # extended messages since the last Sync
        self.is_copying = False  # the server waits for CopyData
        self.copy_may_follow = False  # the last statement may have been a COPY
        self.unsettled = 0  # requests that steer, and own ones, without their answer
        self.awaits_all = False
        self.wants_path = False
        self.path_is_asked = False
        self.path_is_touched = False  # in this transaction
        self.catalog_is_stale = True
        self.ddl_is_open = False
        self.hides_details = False  # something is concealed, and the details of errors show rows

    # -- settling

    def is_settled(self) -> bool:
        """True when nothing that later messages depend on is unanswered."""
        if self.awaits_all:
            if self.pipeline.queue:
                return False
            self.awaits_all = False
        return not self.unsettled

    def matters(self, steer: Steer) -> bool:
        """True when *steer* changes something that later messages depend on, as things stand."""
        if steer is NOTHING:
            return False
        return steer != _ONLY_ENDS or self.path_is_touched

    def steers(self, expected: Expected, steer: Steer) -> None:
        """*expected* is on its way and steers: from here on its effects are in doubt."""
        expected.steer = steer
        expected.takes_data = steer.copy
        self.unsettled += 1
        if steer.path or (steer.transaction and self.path_is_touched):
            self.path_is_touched = True
            self.wants_path = True
            self._set_names(path=None)
        names = self.registry.names
        if steer.temporary and not names.has_temporary:
            self.registry.set_names(names.search_path, names.catalog, temporary=True)
        if steer.catalog:
            self.catalog_is_stale = self.ddl_is_open = True
            self._set_catalog(None)

    def data_ended(self) -> None:
        """The client ended its COPY data; behind it the same Query may hold a further COPY."""
        self.is_copying = False
        queue = self.pipeline.queue
        if queue and queue[0].kind == messages.QUERY and queue[0].steer is None:
            queue[0].steer = _ONLY_COPIES
            self.unsettled += 1

    def path_reported(self, shown: str) -> None:
        """The server says by itself that the path changed (PostgreSQL 18 and later)."""
        self._set_names(parse_path(shown, self.registry.names.db_user))

    def _settle(self, expected: Expected) -> None:
        steer = expected.steer
        assert steer is not None
        self.unsettled -= 1
        if steer.statements:
            # Also after an error: DEALLOCATE and PREPARE are not undone by it.
            self.registry.forget_statements()
        if steer.portals:
            self.registry.forget_portals(expected.portal)
        match expected.cursors:
            case Forgets():
                self.registry.cursors.forget()
            case Cursor() if not expected.error and not expected.is_over:
                self.registry.cursors.declared(expected.cursors)

    # -- names

    def set_catalog(self, catalog: Catalog | None) -> None:
        """A fresh catalogue, or None when it cannot be read.

        Inside a transaction that defined something, none from another connection can be right.
        """
        if not self.ddl_is_open:
            self.catalog_is_stale = False
            self._set_catalog(catalog)

    def _set_catalog(self, catalog: Catalog | None) -> None:
        names = self.registry.names
        if catalog is not names.catalog:
            self.registry.set_names(names.search_path, catalog, temporary=names.has_temporary)

    def wants_catalog(self) -> bool:
        """True when it is stale and a second connection would see what this session did."""
        return self.catalog_is_stale and not self.ddl_is_open

    def _set_names(self, path: tuple[str, ...] | None) -> None:
        names = self.registry.names
        if names.search_path != path:
            self.registry.set_names(path, names.catalog, temporary=names.has_temporary)

    # -- the path, read again

    def may_read_path(self) -> bool:
        """True when the path is not known and nothing at all is under way."""
        return (
            self.registry.names.search_path is None
            and not self.path_is_asked
            and self.status != FAILED
            and not self.pipeline.queue
            and not self.is_mid_pipeline
            and not self.pipeline.is_skipping
        )

    def read_path(self) -> bytes:
        """The gateway's own question; only right behind a Sync or a Query outside of a pipeline."""
        for expected in _READS_PATH:
            self.pipeline.expect(expected)
        self.unsettled += 1
        self.wants_path = False
        self.path_is_asked = True
        return _READ_PATH

    def path_shown(self, shown: str | None) -> None:
        """The server's answer to the gateway's own question."""
        if not self.wants_path:
            self._set_names(parse_path(shown or "", self.registry.names.db_user))

    def path_answered(self) -> None:
        """The end of the gateway's own question, answered or not."""
        self.unsettled -= 1

    def ready(self, status: int) -> None:
        """The server reads the next command; at ``I`` the transaction and all that lived in it are over."""
        self.status = status
        registry = self.registry
        if registry.portals or registry.orphans:
            over = registry.ended(transaction_over=status == IDLE)
            if over:
                self.pipeline.unused(over)
        if status == IDLE:
            self.ddl_is_open = False
            if self.path_is_touched:
                self.path_is_touched = False
                self._set_names(path=None)
                self.path_is_asked = False
