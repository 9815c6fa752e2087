"""Replacing the cluster's authorities, one phase at a time; the rules are ``gateway.ca.rotation``'s."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from gateway.auth.desk import Desk, actor
from gateway.ca import rotation
from gateway.ca.authority import Authority
from gateway.ca.keys import ca_pin, make_authority
from gateway.ca.profile import Kind as Ca
from gateway.ca.rotation import GRACE_DEFAULT, Phase, Series
from gateway.clock import utc
from gateway.errors import ConfigError
from gateway.model.event import Kind
from gateway.model.identity import Subject

GRACE_MAX = timedelta(days=30)
_CLOCK = Subject("service", "rotation")
"""Who moves an automatic rotation on."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is asked for: *phase* None begins an automatic rotation over *grace*."""

    kind: Ca
    phase: Phase | None = None
    manual: bool = False
    grace: timedelta = GRACE_DEFAULT


async def step(desk: Desk, subject: Subject, wanted: Step) -> Series:
    """Begin a rotation or bring it into the next phase."""
    await desk.authorise(subject, "update", "cert_authority", wanted.kind.value)
    if wanted.manual and wanted.phase is None:
        raise ConfigError("a manual rotation goes by its phases", hint="begin with --phase=init")
    if not timedelta(0) <= wanted.grace <= GRACE_MAX:
        raise ConfigError(f"a grace period of {wanted.grace} was asked for, expected at most 30 days")
    async with desk.store.change() as change:
        before = await desk.keyring.series(change, wanted.kind)
        after = _after(desk, before, wanted)
        await desk.keyring.put(change, after)
        await desk.hooks.record(Kind.CA_ROTATE, {**actor(subject), **_recorded(before, after)})
    await desk.keyring.refresh()
    return after


async def step_due(desk: Desk) -> list[Series]:
    """Bring every automatic rotation whose time has come into its next phase."""
    now = utc(desk.clock)
    moved = []
    for kind in Ca:
        if rotation.due(desk.authorities.series(kind), now) is None:
            continue
        async with desk.store.change() as change:
            before = await desk.keyring.series(change, kind)
            phase = rotation.due(before, now)
            if phase is None:
                continue  # another node was first
            after = rotation.enter(before, phase, now)
            await desk.keyring.put(change, after)
            await desk.hooks.record(Kind.CA_ROTATE, {**actor(_CLOCK), **_recorded(before, after)})
        await desk.keyring.refresh()
        moved.append(after)
    return moved


async def overview(desk: Desk, subject: Subject) -> list[dict[str, Any]]:
    """Where each kind of authority stands."""
    await desk.authorise(subject, "read", "cert_authority")
    return [describe(desk.authorities.series(kind)) for kind in Ca]


def describe(series: Series) -> dict[str, Any]:
    """A series as the API shows it; times are RFC 3339, and what does not apply is empty."""
    found = series.rotation
    due = rotation.due_at(series)
    return {
        "type": series.kind.value,
        "phase": series.phase.value,
        "next_phases": [phase.value for phase in rotation.FOLLOWS[series.phase]],
        "automatic": found is not None and found.automatic,
        "started": "" if found is None else found.started.isoformat(),
        "entered": "" if found is None else found.entered.isoformat(),
        "due": "" if due is None else due.isoformat(),
        "rotated": "" if series.rotated_at is None else series.rotated_at.isoformat(),
        "authorities": [
            {
                "key_id": authority.key_id,
                "pin": ca_pin(authority.certificate),
                "role": "current" if authority is series.current else "next",
                "signs": authority in {series.signer(), series.signer(serving=True)},
                "expires": authority.certificate.not_valid_after_utc.isoformat(),
            }
            for authority in series.trusted
        ],
    }


def _after(desk: Desk, before: Series, wanted: Step) -> Series:
    now = desk.steady.now()
    if wanted.phase is None or wanted.phase is Phase.INIT:
        make = partial(_make, desk)
        automatic = wanted.phase is None
        return rotation.begin(before, automatic=automatic, grace=wanted.grace, now=now, make=make)
    return rotation.enter(before, wanted.phase, now)


def _make(desk: Desk, kind: Ca) -> Authority:
    return make_authority(kind, desk.authorities.cluster, desk.clock)


def _recorded(before: Series, after: Series) -> Mapping[str, Any]:
    return {
        "authority": after.kind.value,
        "rotation": after.phase.value,
        "rotation_before": before.phase.value,
        "key_id": after.current.key_id,
        "next_key_id": "" if after.next is None else after.next.key_id,
    }
