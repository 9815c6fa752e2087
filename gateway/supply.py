"""Where a cluster's policies come from and who may sign them: the section ``policy`` of the file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from gateway.address import is_here

Kind: TypeAlias = Literal["git", "dir", "url"]
DEFAULT_PERIOD_SECONDS = 60
DEFAULT_LIMIT_MS = 50
DEFAULT_FILE = "dist/policy.tar.gz"


@dataclass(frozen=True, slots=True)
class Source:
    """Where signed bundles are fetched from, every *period_seconds*.

    ``git``: *place* is a repository (a path or a URL that git knows), *ref* a branch or tag, *file* the
    bundle in it. ``dir``: a folder, *file* the bundle in it. ``url``: the bundle's own address.
    """

    kind: Kind
    place: str
    file: str = DEFAULT_FILE
    ref: str = "HEAD"
    period_seconds: int = DEFAULT_PERIOD_SECONDS


@dataclass(frozen=True, slots=True)
class Supply:
    """*keys* are files with public keys in PEM; *limit_ms* is how long one question may take at publish."""

    keys: tuple[Path, ...] = ()
    source: Source | None = None
    limit_ms: int = DEFAULT_LIMIT_MS


def read(section: Mapping[str, Any], base: Path) -> Supply:
    """The section, already checked against its schema; relative paths start at *base*."""
    source = section.get("source")
    return Supply(
        keys=tuple(base / name for name in section.get("keys", ())),
        source=None if source is None else _source(source, base),
        limit_ms=section.get("limit_ms", DEFAULT_LIMIT_MS),
    )


def problems(section: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What a schema cannot say: the path inside the section, and the sentence."""
    if "source" not in section:
        return
    kinds = [kind for kind in ("git", "dir", "url") if kind in section["source"]]
    if len(kinds) != 1:
        yield ("source",), "expected one of git, dir and url"
    if not section.get("keys"):
        yield ("source",), "expected policy.keys beside it: what is fetched must be signed"
    if "dir" in section:
        yield ("source",), "expected no policy.dir beside it: the bundle brings the team's policies"
    url = section["source"].get("url", "")
    if url and not _is_safe(url):
        yield ("source", "url"), "expected an address that begins with https://"


def _is_safe(url: str) -> bool:
    """Encrypted, or over no network: what is fetched is signed, but it is nobody else's business."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and is_here(parts.hostname))
        )
    except ValueError:
        return False


def _source(section: Mapping[str, Any], base: Path) -> Source:
    kind: Kind = "git" if "git" in section else "dir" if "dir" in section else "url"
    place = section[kind]
    if kind == "dir" or (kind == "git" and "://" not in place and not place.partition(":")[1]):
        place = str(base / place)
    return Source(
        kind=kind,
        place=place,
        file=section.get("file", DEFAULT_FILE),
        ref=section.get("ref", "HEAD"),
        period_seconds=section.get("period_seconds", DEFAULT_PERIOD_SECONDS),
    )
