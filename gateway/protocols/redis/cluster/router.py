"""Sends each command of a session to the node that has its key, and puts the answers back in their order.

What was judged is what is sent. MOVED and ASK are followed; while something is sent once more, what comes
behind it waits, so that commands on one key keep their order.
"""

from collections import deque
from typing import Final

from gateway.errors import ProtocolError
from gateway.protocols.redis import resp, table
from gateway.protocols.redis.cluster import gather
from gateway.protocols.redis.cluster.answers import Answer
from gateway.protocols.redis.cluster.delivery import Delivery
from gateway.protocols.redis.cluster.links import Ask, Link
from gateway.protocols.redis.cluster.multi import Multi
from gateway.protocols.redis.cluster.nodes import Nodes
from gateway.protocols.redis.cluster.placing import Placing, address_of, error
from gateway.protocols.redis.cluster.slots import Topology, node_at
from gateway.protocols.redis.errors import SUBSTITUTE, UNKNOWN
from gateway.protocols.redis.pubsub import MESSAGES, WORDS, number_of
from gateway.protocols.redis.replies import ERRORS, Part, Reply
from gateway.sansio.spread import Node, Step

MAX_REDIRECTS: Final = 5
MAX_WAITING: Final = 128 << 20  # bytes of commands behind a redirection; one command may have half of it
_MUCH: Final = 32 * 1024  # bytes that are worth a look at what is waited for
_OWN_WORDS: Final = frozenset({"eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro", "debug"})
_PUSH, _LIST = ord(">"), ord("*")
_ASKING: Final = resp.encode(b"ASKING")


class ClusterRouter:
    """``gateway.sansio.spread.Router`` for Redis Cluster."""

    def __init__(self, found: Topology, database: str, public: str) -> None:
        """*public* is where the client reaches the gateway, as far as that is known."""
        self._nodes = Nodes(found)
        self._placing = Placing(self._nodes, database, public)
        self._commands = resp.CommandReader()
        self._delivery = Delivery()
        self._waiting: deque[resp.Command] = deque()
        self._is_settling = False
        self._is_resp3 = False
        self._multi = Multi(self)
        self._over = ""

    # -- the contract

    def start(self) -> Node:
        """The node of the connection that is open already."""
        return next(iter(self._nodes.links))

    def from_session(self, data: bytes) -> Step:
        """Commands that were judged, and substitutes."""
        for command in self._commands.feed(data):
            self._waiting.append(command)
        step = self._step()
        if sum(len(command.raw) for command in self._waiting) > MAX_WAITING:
            raise ProtocolError("too much was sent behind a key that is being moved")
        return step

    def from_node(self, node: Node, data: bytes) -> Step:
        """Answers of a node."""
        link = self._nodes.links.get(node)
        if link is not None:
            for part in link.reader.feed(data):
                self._part(link, part)
        return self._step()

    def lost(self, node: Node, reason: str, *, was_open: bool) -> Step:
        """Whoever waits for an answer of *node* hears why there is none; others go on."""
        link = self._nodes.lose(node)
        if link is None:
            return Step()
        if was_open:
            told = error(
                "ERR", "the node of this key closed the connection: the command may have been carried out"
            )
        else:
            told = error("CLUSTERDOWN", f"the node of this key cannot be reached: {reason}")
        if link.subscriptions.total or not link.is_between:
            self._over = "a node with subscriptions closed the connection"
        self._multi.lost(node)
        for ask in link.sent:
            if ask.answer is not None and not ask.answer.is_done:
                self._fail(ask.answer, told)
        if not self._nodes.go_on_without(node):
            self._over = "no node of the cluster is left"
        return self._step()

    def kept(self, node: Node) -> int:
        """Bytes of a node's answers that wait for another's."""
        link = self._nodes.links.get(node)
        if link is None or (link.kept > _MUCH and self._delivery.waits_for(link)):
            return 0  # behind a redirection an answer may come after others that have to wait for it
        return link.kept

    # -- commands

    def _step(self) -> Step:
        self._delivery.pass_on()
        while self._waiting and not (self._is_settling and not self._delivery.is_empty):
            self._is_settling = False
            self._dispatch(self._waiting.popleft())
            self._delivery.pass_on()
        return Step(self._delivery.take(), self._nodes.take(), self._over)

    def _dispatch(self, command: resp.Command) -> None:
        name = table.name_of(command.arguments)
        if name == "gateway.address":
            self._placing.at = address_of(command.arguments[1].decode("latin-1"))
            return
        answer = Answer(command.raw, name, command.arguments)
        self._delivery.owe(answer)
        listening = None if self._is_resp3 else self._nodes.listening()  # it may do nothing else
        if listening is not None and name not in WORDS:
            self.send(listening, answer)  # which answers that this cannot be done now
        elif self._multi.takes(answer):
            pass
        elif command.raw == SUBSTITUTE:
            answer.finish(UNKNOWN)
        else:
            self._placing.place(answer, is_resp3=self._is_resp3)

    # -- what transactions ask for

    def home(self) -> Node:
        """Where commands without a key go."""
        return self._nodes.home

    def owner(self, slot: int) -> Node | None:
        """The node that has *slot*."""
        return self._nodes.owner(slot)

    def send(self, node: Node, answer: Answer | None, *, raw: bytes = b"") -> None:
        """Send a command."""
        self._nodes.send(node, answer, raw=raw)

    def forget(self, node: Node, answers: "set[int]") -> None:
        """Nobody waits any more for what *node* says to these (by identity)."""
        self._nodes.forget(node, answers)

    # -- answers

    def _part(self, link: Link, part: Part) -> None:
        whole = link.take(part, is_resp3=self._is_resp3)
        if whole is not None:
            self._whole(link, *whole)
        elif link.is_between:  # passed as it comes
            answer = link.sent[0].answer
            assert answer is not None
            self._delivery.add(link, answer, part.data)
            if part.reply is not None:
                link.sent.popleft()
                self._end(link, answer, part.reply)

    def _whole(self, link: Link, reply: Reply, data: bytes) -> None:
        ask = link.sent[0] if link.sent else None
        if reply.kind == _PUSH or (reply.kind == _LIST and not self._is_resp3):
            word = reply.word.decode("latin-1").lower()
            is_asked = ask is not None and ask.name == word
            if word in WORDS and (reply.kind == _PUSH or is_asked or link.subscriptions.total):
                self._confirmed(link, ask, word, data)
                return
            if reply.kind == _PUSH or (link.subscriptions.total and word in MESSAGES):
                self._delivery.message(link, data)
                return
        if ask is None:
            raise ProtocolError("a node answered what nobody asked")
        link.sent.popleft()
        self._answered(link, ask, reply, data)

    def _answered(self, link: Link, ask: Ask, reply: Reply, data: bytes) -> None:
        if ask.is_about_nodes:
            self._nodes.learn(link, reply, data)
            return
        answer = ask.answer
        if answer is None or answer.is_done:
            return
        if reply.kind in ERRORS and data.startswith((b"-MOVED ", b"-ASK ")):
            self._redirect(link, answer, data)
            return
        if answer.parts is not None:
            answer.parts[ask.index] = data
            self._delivery.keep(link, answer, len(data))
            answer.missing -= 1
            if answer.missing == 0:
                answer.finish(gather.combined(answer.name, answer.parts))
                self._end(link, answer, reply)
            return
        if answer.scan_node >= 0:
            data = gather.scanned(data, answer.scan_node, len(self._nodes.masters))
        self._delivery.add(link, answer, data)
        self._end(link, answer, reply)

    def _confirmed(self, link: Link, ask: Ask | None, word: str, data: bytes) -> None:
        """A confirmation, with the number of subscriptions on all nodes in it."""
        mine = ask if ask is not None and ask.name == word else None
        if mine is not None and not mine.frames:
            mine.frames = link.subscriptions.frames(word, mine.channels)
        link.subscriptions.confirmed(word, number_of(data))
        if word in {"ssubscribe", "sunsubscribe"}:
            total = sum(other.subscriptions.shard for other in self._nodes.links.values())
            data = b"%b:%d\r\n" % (data[: data.rfind(b":")], total)
        if mine is None or mine.answer is None:
            self._delivery.message(link, data)
            return
        self._delivery.add(link, mine.answer, data)
        mine.frames -= 1
        if mine.frames == 0:
            link.sent.popleft()
            mine.answer.missing -= 1
            if mine.answer.missing <= 0:
                link.last, mine.answer.is_done = mine.answer, True

    def _redirect(self, link: Link, answer: Answer, data: bytes) -> None:
        words = data[1:-2].decode("latin-1").split(" ")
        if len(words) != 3 or not words[1].isdigit():
            raise ProtocolError("a node's redirection cannot be read")
        node = self._nodes.known(node_at(words[2], "", link.node))
        is_ask = words[0] == "ASK"
        self._is_settling = True
        if (answer.slot is None or answer.name in _OWN_WORDS) and not self._nodes.is_known(node):
            # The client may have made these words: nobody is dialled for them whom no node has named.
            self._nodes.ask(link.node)
            self._fail(answer, error("CLUSTERDOWN", "the key is being moved between nodes"))
            return
        if not is_ask:
            self._nodes.ask(node)
        if self._multi.redirected(answer, link.node, node, is_ask=is_ask):
            return
        answer.redirects += 1
        if answer.redirects > MAX_REDIRECTS or answer.slot is None:
            self._fail(answer, error("CLUSTERDOWN", "the key is being moved between nodes"))
            return
        if is_ask:
            self._nodes.write(node, _ASKING, Ask())
        self.send(node, answer)

    # -- passing on

    def _end(self, link: Link, answer: Answer, reply: Reply) -> None:
        answer.is_done = True
        link.last = answer
        if answer.name == "hello" and reply.kind not in ERRORS and len(answer.arguments) > 1:
            self._is_resp3 = answer.arguments[1] == b"3"

    def _fail(self, answer: Answer, told: bytes) -> None:
        if answer.has_begun or answer.out:
            self._over = "a node closed the connection in the middle of an answer"
        answer.finish(told)
