"""Whatever a client sends, it reads what the server would have said: random sessions, direct and through."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import ProtocolError
from gateway.model.identity import Route
from gateway.sansio.exchange import Request
from gateway.sansio.protocol import Startup
from tests.protocols.postgres import wire
from tests.protocols.postgres.engine import Engine, connect
from tests.protocols.postgres.wire import bind, close, describe, execute, parse, query
from tests.servers.postgres import Postgres

pytestmark = pytest.mark.db

END = "select 'the end'"
TEXTS = [
    "select 1",
    "select * from generate_series(1, 4)",
    "select 1/0",
    "select nonsense(",
    "begin",
    "commit",
    "rollback",
    "savepoint a",
    "rollback to savepoint a",
    "set search_path = app, secret",
    "set local search_path = secret",
    "select count(*) from orders",
    "select app.f_path()",
    "deallocate s1",
    "deallocate all",
    "prepare s1 as select 5",
    "declare p1 cursor for select * from generate_series(1, 4)",
    "insert into app.loaded values ('t', 'transparent')",
    "",
    "select 1; select 2",
    "select 1; select 1/0; select 3",
]
NAMES = ["", "s1", "s2"]
PORTALS = ["", "p1"]
COPY = "copy app.loaded from stdin"

names, portals = st.sampled_from(NAMES), st.sampled_from(PORTALS)
texts = st.sampled_from(TEXTS)
MESSAGES = st.one_of(
    st.builds(query, texts),
    st.builds(parse, texts, names),
    st.builds(bind, names, portals),
    st.builds(execute, portals, st.sampled_from([0, 2])),
    st.builds(describe, st.just("S"), names),
    st.builds(describe, st.just("P"), portals),
    st.builds(close, st.just("S"), names),
    st.builds(close, st.just("P"), portals),
    st.just(wire.SYNC),
    st.just(wire.FLUSH),
    st.builds(lambda text, name, portal: parse(text, name) + bind(name, portal) + execute(portal) + wire.SYNC,
              texts, names, portals),
    st.just(wire.SYNC + query(COPY) + wire.copy_data(b"c\ttransparent\n") + wire.COPY_DONE),
    st.just(wire.SYNC + query(COPY) + wire.copy_data(b"one column\n") * 2 + wire.COPY_DONE),
    st.just(wire.SYNC + query(COPY) + wire.message("f", b"no\0")),
    st.just(wire.SYNC + parse(COPY) + bind() + execute() + wire.SYNC + wire.copy_data(b"c\td\n")
            + wire.COPY_DONE + wire.SYNC),
)  # fmt: skip
SESSIONS = st.lists(MESSAGES, min_size=1, max_size=14)


def fresh(server: Postgres) -> Engine:
    startup = Startup(db_user="alice", db_name="mydb")
    return connect(("127.0.0.1", server.port), startup, Route("test", "postgres", "alice", "mydb"))


def told(frames: list[tuple[str, bytes]]) -> list[tuple[str, object]]:
    """What a client can see, without what differs from run to run."""
    seen: list[tuple[str, object]] = []
    for kind, body in frames:
        if kind == "E":
            fields = wire.error_fields(body)
            seen.append((kind, (fields["S"], fields["C"], fields["M"])))
        elif kind != "S":
            seen.append((kind, body))
    return seen


def until_end(engine: Engine) -> list[tuple[str, object]]:
    """Everything up to the answer of ``END`` and what follows it, or to the server's closing."""
    frames: list[tuple[str, bytes]] = []
    while not any(kind == "D" and b"the end" in body for kind, body in frames) or frames[-1][0] != "Z":
        if not engine.backend_sends(5):
            break
        frames += engine.frames()
    return told(frames)


class Direct:
    """The server's own answers: an engine whose conversation only carries bytes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._data = bytearray()

    def frames(self, data: bytes) -> list[tuple[str, object]]:
        self._engine.backend.sendall(data)
        self._engine.backend.settimeout(5)
        frames: list[tuple[str, bytes]] = []
        while not any(kind == "D" and b"the end" in body for kind, body in frames) or frames[-1][0] != "Z":
            try:
                more = self._engine.backend.recv(1 << 16)
            except (TimeoutError, ConnectionResetError):
                break
            if not more:
                break
            self._engine.to_client += more
            frames += self._engine.frames()
        return told(frames)


FINISH = wire.SYNC + query("rollback") + query(END)


@given(SESSIONS, st.integers(1, 400))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_allowed_session_reads_as_if_nothing_stood_between(
    server: Postgres, steps: list[bytes], size: int
) -> None:
    data = b"".join(steps) + FINISH
    direct, through = fresh(server), fresh(server)
    through.judge = lambda _request, _facts: True
    try:
        expected = Direct(direct).frames(data)
        ended = False
        for at in range(0, len(data), size):
            try:
                through.client_sends(data[at : at + size])
            except (ProtocolError, OSError):
                ended = True  # the server too ends such a session, with 08P01
                break
        if ended:
            assert expected[-1][0] != "Z"
            return
        assert until_end(through) == expected
        _every_record_ends_once(through)
    finally:
        direct.close()
        through.close()


def _every_record_ends_once(engine: Engine) -> None:
    engine.outcomes += engine.conversation.abandon()
    admitted: set[Request] = set(engine.requests) - set(engine.denials)
    recorded = {r for r in admitted if r.covered_by is None or r.covered_by not in admitted}
    ends = [outcome.request for outcome in engine.outcomes]
    assert len(ends) == len(set(ends)), "a record ends twice"
    assert set(ends) == recorded


@given(SESSIONS, st.sets(st.integers(0, 60), max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_refused_nothing_of_it_runs_and_the_session_goes_on(
    server: Postgres, steps: list[bytes], refused: set[int]
) -> None:
    through = fresh(server)

    def judge(request: Request, _facts: object) -> bool:
        return through.requests.index(request) not in refused or request.statements[0].text == END

    through.judge = judge
    try:
        try:
            for step in [*steps, FINISH]:
                through.client_sends(step)
        except (ProtocolError, OSError):
            return
        seen = until_end(through)
        assert seen[-1][0] == "Z"
        assert "gateway_denied" not in str(seen)
        answered = sum(
            1 for kind, said in seen if kind == "E" and isinstance(said, tuple) and said[1] == "42501"
        )
        assert answered <= len(through.denials)
        for request in through.denials:
            assert (
                bytes(through.to_backend).count(request.raw)
                <= sum(other.raw == request.raw for other in through.requests if other not in through.denials)
                or len(request.raw) < 24
            ), "no byte of a refused message goes on"
        _every_record_ends_once(through)
    finally:
        through.close()
