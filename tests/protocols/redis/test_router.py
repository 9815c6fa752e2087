"""The router of a cluster, against nodes that are made up: order, redirections, transactions, losses."""

import random
from collections.abc import Callable

import pytest

from gateway.errors import ProtocolError
from gateway.protocols.redis import resp
from gateway.protocols.redis.cluster.router import ClusterRouter
from gateway.protocols.redis.cluster.slots import slot_of, topology
from gateway.protocols.redis.errors import SUBSTITUTE
from gateway.sansio.spread import Node, Step

A, B, C = (Node(f"127.0.0.1:700{number}") for number in range(3))
EDGES = {A: "0-5460", B: "5461-10922", C: "10923-16383"}


def nodes_text(edges: "dict[Node, str]", own: Node = A) -> str:
    return "\n".join(
        f"{index:040x} {node.uri}@1,x {'myself,' if node == own else ''}master - 0 0 1 connected {text}"
        for index, (node, text) in enumerate(edges.items())
    )


def router(public: str = "gate:6379") -> ClusterRouter:
    return ClusterRouter(topology(nodes_text(EDGES), Node("localhost:7000", "localhost")), "caches", public)


def command(*words: str) -> bytes:
    return resp.encode(*[word.encode() for word in words])


def key_of(node: Node, number: int = 0) -> str:
    """A key that *node* has."""
    low, _, high = EDGES[node].partition("-")
    found = [key for key in (f"k{n}" for n in range(500)) if int(low) <= slot_of(key.encode()) <= int(high)]
    return found[number]


def sent(step: Step) -> dict[str, list[tuple[bytes, ...]]]:
    """The commands in *step*, by the last digit of the node."""
    return {
        node.uri[-1]: [found.arguments for found in resp.CommandReader().feed(data)]
        for node, data in step.to_nodes
    }


def test_keys_go_to_their_slots_by_tag_and_by_whole_name() -> None:
    assert slot_of(b"foo") == 12182
    assert slot_of(b"{foo}.x") == slot_of(b"foo") == slot_of(b"a{foo}b{bar}")
    assert slot_of(b"{}foo") != slot_of(b"foo")
    assert slot_of(b"{}foo") != slot_of(b"")
    assert slot_of(b"a{b") == slot_of(b"a{b")


@pytest.mark.parametrize(
    "text", ["x", "a b c d e f g h 1-", "a 1.2.3.4:1@1 myself,master - 0 0 1 connected 9-70000"]
)
def test_a_list_of_nodes_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(ProtocolError):
        topology(text, A)


def test_answers_come_in_the_order_of_the_commands() -> None:
    machine = router()
    step = machine.from_session(
        command("GET", key_of(A)) + command("GET", key_of(B)) + command("GET", key_of(C))
    )
    assert set(sent(step)) == {"0", "1", "2"}
    assert machine.from_node(C, b"$1\r\nc\r\n").to_client == b""
    assert machine.kept(C) == 7
    assert machine.from_node(B, b"$1\r\nb\r\n").to_client == b""
    assert machine.from_node(A, b"$40\r\n").to_client == b"$40\r\n"
    rest = b"a" * 40 + b"\r\n"
    assert machine.from_node(A, rest).to_client == rest + b"$1\r\nb\r\n$1\r\nc\r\n"
    assert (machine.kept(A), machine.kept(B), machine.kept(C)) == (0, 0, 0)


def test_any_pipeline_in_any_pieces_is_answered_in_order() -> None:
    chance = random.Random(7)
    for _ in range(60):
        machine, waiting, out, expected = router(), dict.fromkeys(EDGES, b""), b"", b""
        for number in range(30):
            node = chance.choice(list(EDGES))
            step = machine.from_session(
                command("ECHO" if chance.random() < 0.1 else "GET", key_of(node, number % 9))
            )
            ((target, _),) = step.to_nodes
            answer = b"$%d\r\n%b\r\n" % (len(str(number)), str(number).encode())
            waiting[target] += answer
            expected += answer
        while any(waiting.values()):
            node = chance.choice([node for node, left in waiting.items() if left])
            size = chance.randint(1, 9)
            out += machine.from_node(node, waiting[node][:size]).to_client
            waiting[node] = waiting[node][size:]
        assert out == expected


def test_a_key_that_moved_is_asked_for_where_it_is_and_what_follows_waits() -> None:
    machine, key = router(), key_of(A)
    machine.from_session(command("INCR", key))
    step = machine.from_node(A, b"-MOVED %d 127.0.0.1:7001\r\n" % slot_of(key.encode()))
    assert step.to_client == b""
    assert sent(step)["1"] == [(b"CLUSTER", b"NODES"), (b"INCR", key.encode())]
    assert machine.from_session(command("GET", key)).to_nodes == ()
    edges = {A: "1-5460", B: f"{slot_of(key.encode())} 5461-10922", C: "10923-16383"}
    text = nodes_text(edges, B).encode()
    step = machine.from_node(B, b"$%d\r\n%b\r\n:1\r\n" % (len(text), text))
    assert step.to_client == b":1\r\n"
    assert sent(step) == {"1": [(b"GET", key.encode())]}


def test_a_key_on_its_way_is_asked_for_with_asking() -> None:
    machine, key = router(), key_of(A)
    machine.from_session(command("GET", key))
    step = machine.from_node(A, b"-ASK %d 127.0.0.1:7002\r\n" % slot_of(key.encode()))
    assert sent(step) == {"2": [(b"ASKING",), (b"GET", key.encode())]}
    assert machine.from_node(C, b"+OK\r\n$1\r\nx\r\n").to_client == b"$1\r\nx\r\n"


def test_a_redirection_without_end_is_an_error() -> None:
    machine, key = router(), key_of(A)
    machine.from_session(command("GET", key))
    told, node = b"", A
    for other in (C, A, C, A, C, A):
        moved = b"-ASK %d %b\r\n" % (slot_of(key.encode()), other.uri.encode())
        told = machine.from_node(node, moved).to_client
        if told:
            break
        machine.from_node(other, b"+OK\r\n")
        node = other
    assert told.startswith(b"-CLUSTERDOWN")


def answers(machine: ClusterRouter, step: Step, reply: Callable[[Node, tuple[bytes, ...]], bytes]) -> bytes:
    """What the client reads until no node owes an answer."""
    out, left = step.to_client, list(step.to_nodes)
    while left:
        node, data = left.pop(0)
        for found in resp.CommandReader().feed(data):
            step = machine.from_node(node, reply(node, found.arguments))
            out += step.to_client
            left += step.to_nodes
    return out


def test_a_transaction_opens_on_its_first_key_and_keeps_what_came_before() -> None:
    machine = router()
    step = machine.from_session(
        command("MULTI") + command("PING") + command("INCR", key_of(B)) + command("EXEC")
    )
    assert sent(step) == {"1": [(b"MULTI",), (b"PING",), (b"INCR", key_of(B).encode()), (b"EXEC",)]}
    assert step.to_client == b"+OK\r\n+QUEUED\r\n"
    step = machine.from_node(B, b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+PONG\r\n:1\r\n")
    assert step.to_client == b"+QUEUED\r\n*2\r\n+PONG\r\n:1\r\n"


def test_a_transaction_that_was_refused_something_before_its_first_key_aborts() -> None:
    machine = router()
    step = machine.from_session(
        command("MULTI") + SUBSTITUTE + command("SET", key_of(C), "1") + command("EXEC")
    )
    substitute = (b"GATEWAY.DENIED",)
    assert sent(step)["2"] == [(b"MULTI",), substitute, (b"SET", key_of(C).encode(), b"1"), (b"EXEC",)]
    machine = router()
    step = machine.from_session(command("MULTI") + SUBSTITUTE + command("EXEC"))
    assert step.to_nodes == ()
    assert step.to_client.endswith(b"-EXECABORT Transaction discarded because of previous errors.\r\n")


def test_a_transaction_whose_key_moved_runs_once_and_elsewhere() -> None:
    machine, key = router(), key_of(A)
    ran: list[Node] = []
    open_on: dict[Node, list[bool]] = {}

    def reply(node: Node, words: tuple[bytes, ...]) -> bytes:
        if words[0] == b"CLUSTER":
            text = nodes_text(EDGES, node).encode()
            return b"$%d\r\n%b\r\n" % (len(text), text)
        if words[0] == b"MULTI":
            open_on[node] = [True]
            return b"+OK\r\n"
        if words[0] in {b"DISCARD", b"EXEC"}:
            was_clean = all(open_on.pop(node))
            if words[0] == b"EXEC" and was_clean:
                ran.append(node)
                return b"*2\r\n:1\r\n:2\r\n"
            return b"+OK\r\n" if words[0] == b"DISCARD" else b"-EXECABORT x\r\n"
        if node == A:
            open_on[node].append(False)
            return b"-MOVED %d %b\r\n" % (slot_of(key.encode()), B.uri.encode())
        return b"+QUEUED\r\n"

    whole = command("MULTI") + command("INCR", key) + command("INCR", key) + command("EXEC")
    out = answers(machine, machine.from_session(whole), reply)
    assert out == b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n:2\r\n"
    assert ran == [B]


def test_what_was_sent_to_a_node_that_is_gone_is_not_sent_again() -> None:
    machine = router()
    machine.from_session(command("INCR", key_of(B)) + command("GET", key_of(A)))
    step = machine.lost(B, "", was_open=True)
    assert b"may have been carried out" in step.to_client
    assert sent(step) == {"0": [(b"CLUSTER", b"NODES")]}
    assert step.over == ""
    assert machine.from_node(A, b"$1\r\na\r\n").to_client == b"$1\r\na\r\n"


def test_a_node_that_cannot_be_reached_is_told_as_such() -> None:
    machine = router()
    machine.from_session(command("INCR", key_of(B)))
    assert b"-CLUSTERDOWN" in machine.lost(B, "connection refused", was_open=False).to_client


def test_a_lost_watch_aborts_the_transaction_behind_it() -> None:
    machine = router()
    machine.from_session(command("WATCH", key_of(B)))
    machine.from_node(B, b"+OK\r\n")
    machine.lost(B, "", was_open=True)
    step = machine.from_session(command("MULTI") + command("PING") + command("EXEC"))
    assert step.to_client.endswith(b"-EXECABORT Transaction discarded because of previous errors.\r\n")


def test_a_node_with_subscriptions_ends_the_session_when_it_goes() -> None:
    machine = router()
    machine.from_session(command("HELLO", "3") + command("SUBSCRIBE", "news"))
    machine.from_node(A, b"%0\r\n>3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n")
    assert machine.lost(A, "", was_open=True).over


def test_a_message_waits_behind_what_its_node_answered_and_never_cuts_an_answer() -> None:
    machine = router()
    machine.from_session(command("HELLO", "3") + command("SUBSCRIBE", "n"))
    machine.from_node(A, b"%0\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\nn\r\n:1\r\n")
    message = b">3\r\n$7\r\nmessage\r\n$1\r\nn\r\n$1\r\nm\r\n"
    machine.from_session(command("GET", key_of(B)) + command("GET", key_of(A)))
    assert machine.from_node(B, b"%0\r\n$40\r\n").to_client == b"$40\r\n"  # HELLO's answer is nobody's
    assert machine.from_node(A, message).to_client == b""
    assert machine.from_node(A, b"$1\r\na\r\n" + message).to_client == b""
    out = machine.from_node(B, b"h" * 40 + b"\r\n").to_client
    assert out.startswith(b"h" * 40 + b"\r\n")
    assert out.count(message) == 2
    assert out.index(b"$1\r\na\r\n") < out.rindex(message)


def test_a_scan_visits_every_master_and_ends() -> None:
    machine, cursor, seen = router(), b"0", []
    for _ in range(20):
        step = machine.from_session(resp.encode(b"SCAN", cursor))
        ((node, data),) = step.to_nodes
        (asked,) = resp.CommandReader().feed(data)
        seen.append((node, asked.arguments[1]))
        own = b"77" if asked.arguments[1] == b"0" else b"0"
        reply = machine.from_node(node, b"*2\r\n$%d\r\n%b\r\n*1\r\n$1\r\nk\r\n" % (len(own), own)).to_client
        cursor = reply.split(b"\r\n")[2]
        if cursor == b"0":
            break
    assert seen == [(node, own) for node in (A, B, C) for own in (b"0", b"77")]


@pytest.mark.parametrize("word", ["SLOTS", "SHARDS", "NODES"])
def test_no_node_is_shown(word: str) -> None:
    for version in ("2", "3"):
        machine = router()
        machine.from_session(command("HELLO", version))
        machine.from_node(A, b"%0\r\n" if version == "3" else b"*0\r\n")
        shown = machine.from_session(command("CLUSTER", word)).to_client
        assert b"6379" in shown
        assert b"gate" in shown
        assert b"700" not in shown
    assert b"-ERR" in router(public="").from_session(command("CLUSTER", word)).to_client


def test_the_address_is_the_last_one_said() -> None:
    machine = router()
    machine.from_session(resp.encode(b"GATEWAY.ADDRESS", b"[::1]:7777"))
    assert b"7777" in machine.from_session(command("CLUSTER", "SLOTS")).to_client


def test_what_comes_before_the_first_key_of_a_transaction_is_bounded() -> None:
    machine = router()
    machine.from_session(command("MULTI"))
    large = command("ECHO", "x" * (600 << 10))
    assert machine.from_session(large).to_client == b"+QUEUED\r\n"
    assert machine.from_session(large).to_client == b"+QUEUED\r\n"
    assert machine.from_session(large).to_client.startswith(b"-ERR too much")
    assert machine.from_session(command("EXEC")).to_client.startswith(b"-EXECABORT")
    machine.from_session(command("MULTI"))
    said = machine.from_session(command("PING") * 1_001).to_client
    assert said.count(b"+QUEUED\r\n") == 1_000
    assert said.endswith(b"transaction\r\n")


def test_parts_and_messages_that_wait_for_another_node_count_as_kept() -> None:
    machine = router()
    machine.from_session(command("BLPOP", key_of(B), "0") + command("KEYS", "*"))
    assert machine.from_node(A, b"*1\r\n$5\r\nabcde\r\n").to_client == b""
    assert machine.kept(A) == len(b"*1\r\n$5\r\nabcde\r\n")
    machine.from_node(C, b"*0\r\n")
    machine.from_node(B, b"*-1\r\n*0\r\n")
    assert (machine.kept(A), machine.kept(B), machine.kept(C)) == (0, 0, 0)
    machine.from_session(command("HELLO", "3"))
    for node in (A, B, C):
        machine.from_node(node, b"%0\r\n")
    machine.from_session(command("BLPOP", key_of(B), "0") + command("SUBSCRIBE", "n"))
    message = b">3\r\n$7\r\nmessage\r\n$1\r\nn\r\n$1\r\nm\r\n"
    machine.from_node(A, b">3\r\n$9\r\nsubscribe\r\n$1\r\nn\r\n:1\r\n" + message * 10)
    assert machine.kept(A) >= 10 * len(message)
    assert machine.from_node(B, b"_\r\n").to_client.count(message) == 10
    assert (machine.kept(A), machine.kept(B), machine.kept(C)) == (0, 0, 0)


def test_a_node_that_is_waited_for_is_read_though_much_of_it_waits() -> None:
    machine = router()
    machine.from_session(command("GET", key_of(A)) + command("GET", key_of(B)))
    machine.from_node(A, f"-MOVED {slot_of(key_of(A).encode())} {B.uri}\r\n".encode())
    large = b"$100000\r\n" + b"x" * 100_000 + b"\r\n"
    assert machine.from_node(B, large).to_client == b""
    assert machine.kept(B) == 0, "the answer to the command in front comes behind this one"
    machine.from_node(B, b"$-1\r\n")  # CLUSTER NODES, which cannot be had here
    assert machine.from_node(B, b"$1\r\na\r\n").to_client == b"$1\r\na\r\n" + large


@pytest.mark.parametrize("words", [("EVAL", "…", "1", "KEY"), ("DEBUG", "ERROR", "…")])
@pytest.mark.parametrize("kind", ["MOVED", "ASK"])
def test_nobody_is_dialled_for_words_that_a_client_may_have_made(words: tuple[str, ...], kind: str) -> None:
    machine = router()
    for node in (A, B, C):
        machine.from_session(command("GET", key_of(node)))
        machine.from_node(node, b"$-1\r\n")
    key = key_of(B)
    machine.from_session(command(*[key if word == "KEY" else word for word in words]))
    answered = B if "KEY" in words else A
    step = machine.from_node(answered, f"-{kind} 1 elsewhere.example:6379\r\n".encode())
    assert set(sent(step)) == {answered.uri[-1]}
    assert step.to_client.startswith(b"-CLUSTERDOWN")
    machine = router()
    machine.from_session(command("EVAL", "…", "1", key))
    step = machine.from_node(B, f"-MOVED {slot_of(key.encode())} {C.uri}\r\n".encode())
    assert ("EVAL", "…", "1", key) == tuple(word.decode() for word in sent(step)["2"][-1])


def test_what_is_sent_behind_a_key_that_moved_is_bounded() -> None:
    machine = router()
    machine.from_session(command("GET", key_of(A)) + command("BLPOP", key_of(B), "0"))
    machine.from_node(A, f"-MOVED {slot_of(key_of(A).encode())} {C.uri}\r\n".encode())
    large = command("SET", key_of(C), "x" * (60 << 20))
    assert not machine.from_session(large).to_nodes
    assert not machine.from_session(large).to_nodes
    with pytest.raises(ProtocolError, match="being moved"):
        machine.from_session(large)
