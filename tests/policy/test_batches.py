from gateway.policy.batches import ALONE_SECONDS, MAX_BYTES, MAX_ITEMS, Queue


class Ticks:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _queue() -> tuple[Queue[int], Ticks]:
    ticks = Ticks()
    return Queue(ticks), ticks


def test_equal_questions_are_one_item() -> None:
    queue, _ = _queue()
    queue.add(b"s", b"f", 1.0, 1)
    queue.add(b"s", b"g", 2.0, 2)
    queue.add(b"s", b"f", 3.0, 3)
    assert [(item.facts, item.deadline, item.waiters) for item in queue.take()] == [
        (b"f", 1.0, [1, 3]),
        (b"g", 2.0, [2]),
    ]
    assert queue.take() == []


def test_the_longest_waiting_go_first_and_no_more_than_fit() -> None:
    queue, _ = _queue()
    for number in range(MAX_ITEMS + 3):
        queue.add(b"s", b"%d" % number, 1.0, number)
    assert [item.waiters[0] for item in queue.take()] == list(range(MAX_ITEMS))
    assert len(queue.take()) == 3


def test_a_batch_is_bounded_in_bytes() -> None:
    queue, _ = _queue()
    queue.add(b"s", b"a" * MAX_BYTES, 1.0, 1)
    queue.add(b"s", b"b", 1.0, 2)
    assert [item.waiters for item in queue.take()] == [[1]]
    assert [item.waiters for item in queue.take()] == [[2]]


def test_a_session_that_broke_a_batch_is_asked_alone_for_a_minute() -> None:
    queue, ticks = _queue()
    queue.isolate(b"bad")
    for name in (b"a", b"bad", b"b"):
        queue.add(name, b"f", 1.0, 0)
    assert [item.session for item in queue.take()] == [b"a", b"b"]
    assert [item.session for item in queue.take()] == [b"bad"]
    ticks.now = ALONE_SECONDS
    for name in (b"a", b"bad"):
        queue.add(name, b"f", 1.0, 0)
    assert [item.session for item in queue.take()] == [b"a", b"bad"]


def test_a_lone_session_at_the_front_goes_alone() -> None:
    queue, _ = _queue()
    queue.isolate(b"bad")
    queue.add(b"bad", b"f", 1.0, 0)
    queue.add(b"a", b"f", 1.0, 0)
    assert [item.session for item in queue.take()] == [b"bad"]


def test_a_forgiven_session_goes_with_the_others() -> None:
    queue, _ = _queue()
    queue.isolate(b"bad")
    queue.forgive(b"bad")
    queue.add(b"a", b"f", 1.0, 0)
    queue.add(b"bad", b"f", 1.0, 0)
    assert len(queue.take()) == 2


def test_draining_leaves_nothing() -> None:
    queue, _ = _queue()
    queue.add(b"a", b"f", 1.0, 0)
    assert len(queue.drain()) == 1
    assert len(queue) == 0
