"""Pieces that are made by hand: short ways to say what a statement does."""

from dataclasses import replace

from gateway.classify.facts import Piece, Use
from gateway.classify.operations import CLASS_OF
from gateway.model.classification import Class, Effect, ObjectRef, Setting


def effect(
    operation: str, kind: str = "", name: str = "", schema: str = "", cls: Class | None = None
) -> Effect:
    """*operation*, on a thing or on none."""
    return Effect(operation, cls or CLASS_OF[operation], ObjectRef(kind, name, schema) if kind else None)


def piece(
    operation: str,
    *effects: Effect,
    uses: tuple[Use, ...] = (),
    settings: tuple[Setting, ...] = (),
    reason: str = "",
) -> Piece:
    """A statement that was read by hand; its text is the caller's."""
    return Piece("", operation, effects, uses=uses, settings=settings, reason=reason)


def plus(inner: Piece, operation: str, *effects: Effect, reason: str = "") -> Piece:
    """What *inner* does, and something around it."""
    return replace(
        inner, operation=operation, effects=(*effects, *inner.effects), reason=reason or inner.reason
    )
