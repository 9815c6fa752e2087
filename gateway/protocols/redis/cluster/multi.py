"""MULTI in a cluster: opened on the node of its first key, and again elsewhere when that key has moved."""

import typing
from typing import Final

from gateway.protocols.redis import resp
from gateway.protocols.redis.cluster import plan
from gateway.protocols.redis.cluster.answers import Answer, Transaction
from gateway.protocols.redis.errors import SUBSTITUTE, UNKNOWN
from gateway.sansio.spread import Node

_QUEUED: Final = b"+QUEUED\r\n"
_OK: Final = b"+OK\r\n"
_NESTED: Final = b"-ERR MULTI calls can not be nested\r\n"
_WATCH_INSIDE: Final = b"-ERR WATCH inside MULTI is not allowed\r\n"
_ABORTED: Final = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
_CROSS_SLOT: Final = b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"
_TRY_AGAIN: Final = b"-TRYAGAIN the keys of this transaction are being moved to another node\r\n"
_NO_OWNER: Final = b"-CLUSTERDOWN no node has this key's slot\r\n"
_NOT_INSIDE: Final = b"-ERR this concerns all nodes of a cluster, and cannot be part of a transaction\r\n"
_TOO_MUCH: Final = b"-ERR too much in front of the first key of a transaction\r\n"
_LOST: Final = b"-ERR the node of this transaction closed the connection\r\n"
_MULTI, _DISCARD, _UNWATCH = (resp.encode(word) for word in (b"MULTI", b"DISCARD", b"UNWATCH"))


class Sender(typing.Protocol):
    """What the router does for a transaction."""

    def home(self) -> Node:
        """Where commands without a key go."""
        ...

    def owner(self, slot: int) -> Node | None:
        """The node that has *slot*."""
        ...

    def send(self, node: Node, answer: Answer | None, *, raw: bytes = b"") -> None:
        """Send a command; *answer* is None where nobody waits for it."""
        ...

    def forget(self, node: Node, answers: set[int]) -> None:
        """Nobody waits any more for what *node* says to these, named by their identity."""
        ...


class Multi:
    """The transaction of a session, and what it watches."""

    def __init__(self, router: Sender) -> None:
        self._router = router
        self._open: Transaction | None = None
        self._watched: Node | None = None
        self._is_watch_lost = False

    def takes(self, answer: Answer) -> bool:
        """True when the command belongs to a transaction, and was seen to."""
        if self._open is not None:
            return self._inside(self._open, answer)
        match answer.name:
            case "multi" if len(answer.arguments) == 1:
                self._open = Transaction(is_tainted=self._is_watch_lost)
                answer.finish(_OK)
            case "watch":
                self._watch(answer)
            case "unwatch" if self._watched is not None:
                self._router.send(self._watched, answer)
                self._watched = None
            case _:
                return False
        return True

    def lost(self, node: Node) -> None:
        """The connection to *node* is gone, with what was open and watched there."""
        if self._open is not None and self._open.node == node:
            self._open.is_lost = True
        if self._watched == node:
            self._watched, self._is_watch_lost = None, True
            if self._open is not None:
                self._open.is_tainted = True

    def redirected(self, answer: Answer, old: Node, node: Node, *, is_ask: bool) -> bool:
        """A key is not on *old* but on *node*; False when the command stands for itself."""
        transaction = answer.transaction
        if transaction is None:
            if answer.name == "watch":
                self._watched = node
            return False
        is_same = answer.slot in {None, transaction.slot}
        if is_same and not is_ask and transaction.may_replay:
            self._replay(transaction, old, node)
        else:
            answer.finish(_TRY_AGAIN if is_same else _CROSS_SLOT)
        return True

    # -- own

    def _watch(self, answer: Answer) -> None:
        slot = plan.slot(answer.name, answer.arguments)
        owner = None if slot is None else self._router.owner(slot)
        if slot is None:
            self._router.send(self._router.home(), answer)  # which knows that a key is missing
        elif owner is None:
            answer.finish(_NO_OWNER)
        elif self._watched not in {None, owner}:
            answer.finish(_CROSS_SLOT)
        else:
            answer.slot, self._watched = slot, owner
            self._router.send(owner, answer)

    def _inside(self, transaction: Transaction, answer: Answer) -> bool:
        match answer.name:
            case "multi":
                answer.finish(_NESTED)
            case "watch":
                answer.finish(_WATCH_INSIDE)
            case "quit":
                return False
            case "exec" | "discard" if len(answer.arguments) == 1:
                self._end(transaction, answer)
            case _:
                self._queue(transaction, answer)
        return True

    def _queue(self, transaction: Transaction, answer: Answer) -> None:
        if transaction.is_lost:
            answer.finish(_LOST)
            return
        if answer.raw == SUBSTITUTE:
            self._refused(transaction, answer, UNKNOWN)
            return
        if not plan.fits_transaction(answer.name):
            self._refused(transaction, answer, _NOT_INSIDE)
            return
        answer.slot = plan.slot(answer.name, answer.arguments)
        if answer.slot is not None and transaction.slot is None:
            owner = self._router.owner(answer.slot)
            if transaction.node is None and not self._may_open(transaction, answer, owner):
                return
            transaction.slot = answer.slot
        if transaction.is_full:
            self._refused(transaction, answer, _TOO_MUCH)
            return
        transaction.note(answer.raw, answer)
        if transaction.node is None:
            answer.finish(_QUEUED)
        else:
            self._router.send(transaction.node, answer)

    def _may_open(self, transaction: Transaction, answer: Answer, owner: Node | None) -> bool:
        if owner is None:
            self._refused(transaction, answer, _NO_OWNER)
        elif self._watched not in {None, owner}:
            self._refused(transaction, answer, _CROSS_SLOT)
        else:
            self._begin(transaction, owner)
            return True
        return False

    def _refused(self, transaction: Transaction, answer: Answer, told: bytes) -> None:
        """A command that is not sent: the node must know, so that EXEC aborts."""
        answer.finish(told)
        if transaction.node is None:
            transaction.is_tainted = True
            return
        transaction.note(SUBSTITUTE, None)
        self._router.send(transaction.node, None, raw=SUBSTITUTE)

    def _begin(self, transaction: Transaction, node: Node) -> None:
        """Open it on *node*; what came before its first key is sent now, and was answered."""
        transaction.node, transaction.is_watched = node, self._watched is not None
        self._router.send(node, None, raw=_MULTI)
        if transaction.is_tainted:
            transaction.note(SUBSTITUTE, None)
        for raw, _ in transaction.log or ():
            self._router.send(node, None, raw=raw)

    def _end(self, transaction: Transaction, answer: Answer) -> None:
        """EXEC or DISCARD."""
        is_exec = answer.name == "exec"
        if transaction.node is None and is_exec and not transaction.is_tainted:
            self._begin(transaction, self._watched or self._router.home())
        if transaction.node is not None and not transaction.is_lost:
            transaction.note(answer.raw, answer)
            self._router.send(transaction.node, answer)
        else:
            answer.finish(_ABORTED if is_exec else _OK)
            if self._watched is not None and not transaction.is_lost:
                self._router.send(self._watched, None, raw=_UNWATCH)
        transaction.is_ended = True
        self._open, self._watched, self._is_watch_lost = None, None, False

    def _replay(self, transaction: Transaction, old: Node, node: Node) -> None:
        """All of it once more, on *node*; what was answered is not answered again."""
        log = transaction.log or []
        transaction.replays += 1
        self._router.forget(old, {id(answer) for _, answer in log if answer is not None})
        if not transaction.is_ended:
            self._router.send(old, None, raw=_DISCARD)
        transaction.node = node
        self._router.send(node, None, raw=_MULTI)
        for raw, answer in log:
            waits = answer is not None and not answer.is_done
            self._router.send(node, answer if waits else None, raw=raw)
