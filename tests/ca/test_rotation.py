"""Every phase after every phase: what signs, what is trusted, and what may not come next."""

from datetime import timedelta
from functools import cache
from itertools import pairwise, product

import pytest

from gateway.ca import keys, ring, rotation
from gateway.ca.authority import Authority
from gateway.ca.profile import Kind
from gateway.ca.rotation import FOLLOWS, GRACE_DEFAULT, Phase, Series
from gateway.errors import ConflictError
from tests.ca.material import CLUSTER, NOW, FakeClock

HOUR = timedelta(hours=1)
FORWARD = (Phase.INIT, Phase.UPDATE_CLIENTS, Phase.UPDATE_SERVERS)


@cache
def _old() -> Authority:
    return keys.make_authority(Kind.USER, CLUSTER, FakeClock())


@cache
def _new() -> Authority:
    return keys.make_authority(Kind.USER, CLUSTER, FakeClock())


def _begun(*, automatic: bool = False, grace: timedelta = GRACE_DEFAULT) -> Series:
    resting = Series(Kind.USER, _old())
    return rotation.begin(resting, automatic=automatic, grace=grace, now=NOW, make=lambda _: _new())


def _in(phase: Phase) -> Series:
    if phase is Phase.STANDBY:
        return Series(Kind.USER, _old())
    found = _begun()
    for following in (*FORWARD[1:], Phase.ROLLBACK):
        if found.phase is not phase:
            found = rotation.enter(found, following, NOW)
    return found


@pytest.mark.parametrize(
    ("phase", "client", "server", "trusted"),
    [
        (Phase.STANDBY, "old", "old", ["old"]),
        (Phase.INIT, "old", "old", ["old", "new"]),
        (Phase.UPDATE_CLIENTS, "new", "old", ["old", "new"]),
        (Phase.UPDATE_SERVERS, "new", "new", ["old", "new"]),
        (Phase.ROLLBACK, "old", "old", ["old", "new"]),
    ],
)
def test_each_phase_signs_and_trusts_what_the_table_says(
    phase: Phase, client: str, server: str, trusted: list[str]
) -> None:
    names = {_old().key_id: "old", _new().key_id: "new"}
    series = _in(phase)
    assert series.phase is phase
    assert names[series.signer().key_id] == client
    assert names[series.signer(serving=True).key_id] == server
    assert [names[authority.key_id] for authority in series.trusted] == trusted


def test_a_rotation_to_its_end_leaves_the_new_authority_alone() -> None:
    ended = rotation.enter(_in(Phase.UPDATE_SERVERS), Phase.STANDBY, NOW + HOUR)
    assert ended == Series(Kind.USER, _new(), rotated_at=NOW + HOUR)


@pytest.mark.parametrize("phase", FORWARD)
def test_a_rollback_from_any_phase_ends_where_it_began(phase: Phase) -> None:
    back = rotation.enter(_in(phase), Phase.ROLLBACK, NOW)
    assert back.signer() is back.signer(serving=True) is _old()
    assert back.trusted == (_old(), _new()), "what the new one signed meanwhile counts until standby"
    assert rotation.enter(back, Phase.STANDBY, NOW) == Series(Kind.USER, _old())


@pytest.mark.parametrize(("before", "after"), list(product(Phase, Phase)))
def test_only_what_follows_may_come_next(before: Phase, after: Phase) -> None:
    if after in FOLLOWS[before]:
        return
    with pytest.raises(ConflictError, match=f"in phase {before}, which {after} does not follow"):
        rotation.enter(_in(before), after, NOW)


@pytest.mark.parametrize("phase", [*FORWARD, Phase.ROLLBACK])
def test_no_second_rotation_begins_before_the_first_is_over(phase: Phase) -> None:
    with pytest.raises(ConflictError, match="does not follow"):
        rotation.begin(_in(phase), automatic=False, grace=HOUR, now=NOW, make=lambda _: _new())


def test_whatever_signs_is_trusted_and_was_trusted_a_phase_before() -> None:
    way = [_in(phase) for phase in (Phase.STANDBY, *FORWARD)]
    way.append(rotation.enter(way[-1], Phase.STANDBY, NOW))
    for before, after in pairwise(way):
        for serving in (False, True):
            assert after.signer(serving=serving) in before.trusted
            assert before.signer(serving=serving) in after.trusted or after.phase is Phase.STANDBY


def test_an_automatic_rotation_moves_on_by_thirds_of_its_grace() -> None:
    series, now, seen = _begun(automatic=True, grace=3 * HOUR), NOW, [Phase.INIT]
    while series.rotation is not None:
        assert rotation.due(series, now + HOUR - timedelta(seconds=1)) is None
        now += HOUR
        phase = rotation.due(series, now)
        assert phase is not None
        seen.append(phase)
        series = rotation.enter(series, phase, now)
    assert seen == [*FORWARD, Phase.STANDBY]
    assert series.current is _new()


def test_a_cluster_that_was_down_gives_each_phase_its_time() -> None:
    late = NOW + timedelta(days=30)
    series = _begun(automatic=True, grace=3 * HOUR)
    assert rotation.due(series, late) is Phase.UPDATE_CLIENTS
    series = rotation.enter(series, Phase.UPDATE_CLIENTS, late)
    assert rotation.due(series, late) is None
    assert rotation.due_at(series) == late + HOUR


def test_a_manual_rotation_that_was_forgotten_stays_where_it_is() -> None:
    for phase in (*FORWARD, Phase.ROLLBACK):
        assert rotation.due(_in(phase), NOW + timedelta(days=300)) is None


def test_without_grace_the_old_authority_is_gone_at_once() -> None:
    series = _begun(automatic=True, grace=timedelta(0))
    assert series == Series(Kind.USER, _new(), rotated_at=NOW)


@pytest.mark.parametrize("phase", list(Phase))
def test_a_series_reads_back_what_it_writes(phase: Phase) -> None:
    series = _in(phase)
    read = ring.series_from_bytes(ring.series_to_bytes(series), Kind.USER, CLUSTER)
    assert (read.rotation, read.rotated_at) == (series.rotation, series.rotated_at)
    assert [one.pem for one in read.trusted] == [one.pem for one in series.trusted]
    assert [ring.key_pem(one.key) for one in read.trusted] == [
        ring.key_pem(one.key) for one in series.trusted
    ]
