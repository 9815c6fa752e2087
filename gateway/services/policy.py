"""OPA for this cluster: found or installed, with the shipped policies and the team's in one signed bundle."""

import asyncio  # noqa: TID251
import shutil
from dataclasses import replace
from pathlib import Path

import structlog

from gateway.auth.store import Store
from gateway.ca.keys import Authorities
from gateway.clock import Clock
from gateway.config import Config
from gateway.errors import ConfigError
from gateway.observe.metrics import Metrics
from gateway.policy import client_endpoint
from gateway.policy.install import ensure_opa
from gateway.policy.publish import Bundle, agree_number, content_digest, least_number, publish
from gateway.policy.sidecar.remote import Remote
from gateway.policy.sidecar.supervisor import Sidecar
from gateway.schema import data_dir
from gateway.services.accepted import Accepted

MIN_TOKEN = 32  # characters: 128 bits in hexadecimal


async def prepare(
    config: Config, store: Store, authorities: Authorities, clock: Clock, metrics: Metrics
) -> Sidecar:
    """A sidecar that has still to be entered, with the bundle that was published last, or one built here."""
    if config.policy_dir is not None and not config.policy_dir.is_dir():
        # Without them whatever the team's own guards refuse would be allowed.
        raise ConfigError(f"there is no folder {config.policy_dir}", hint="policy.dir names it")
    if store.is_shared:
        await _agree(config, store)
    opa = await program(config)
    bundle = await asyncio.to_thread(_bundle, opa, config, authorities)
    if config.opa.address:
        return await asyncio.to_thread(_remote, opa, bundle, config, authorities, clock, metrics)
    return Sidecar(
        opa=opa,
        bundle=bundle,
        key=authorities.bundle_key,
        clock=clock,
        deadline_seconds=config.opa.deadline_seconds,
        metrics=metrics,
    )


def _remote(
    opa: Path, bundle: Bundle, config: Config, authorities: Authorities, clock: Clock, metrics: Metrics
) -> Remote:
    """The operator's own OPA, once it has loaded the bundle that was just written."""
    assert config.opa.token_file is not None
    token = config.opa.token_file.read_text(encoding="utf-8").strip()
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"{config.opa.token_file} does not hold a token of at least {MIN_TOKEN} plain characters",
            hint=f"openssl rand -hex 32 > {config.opa.token_file}",
        )
    bundle = _for_the_operator(bundle, config.data_dir / "policy")
    return Remote(
        endpoint=client_endpoint.parse(config.opa.address, config.opa.ca_file),
        token=token,
        opa=opa,
        bundle=bundle,
        key=authorities.bundle_key,
        clock=clock,
        say=lambda said: structlog.get_logger("regate").warning(said),
        deadline_seconds=config.opa.deadline_seconds,
        metrics=metrics,
    )


def _for_the_operator(bundle: Bundle, folder: Path) -> Bundle:
    """The bundle at the place from which an operator's OPA takes it, one that was published, too."""
    place = folder / "gateway.tar.gz"
    if bundle.path == place:
        return bundle
    for source, target in ((bundle.path, place), (bundle.verification_key, place.with_name("gateway.pem"))):
        aside = target.with_name(f"{target.name}.new")
        shutil.copyfile(source, aside)
        aside.replace(target)
    return replace(bundle, path=place, verification_key=place.with_name("gateway.pem"))


async def _agree(config: Config, store: Store) -> None:
    """Nodes with the same policies number them alike, and no number means two things."""
    folder = config.data_dir / "policy"
    content = await asyncio.to_thread(content_digest, data_dir("policies"), config.policy_dir)
    number = await store.bundle_number(content, least_number(folder, content))
    agree_number(folder, content, number)


async def program(config: Config) -> Path:
    """The OPA to run."""
    named = config.opa.path
    return named if named is not None else await asyncio.to_thread(ensure_opa)


def built(opa: Path, config: Config, authorities: Authorities) -> Bundle:
    """The shipped policies and those of ``policy.dir``, under the next number."""
    folder = config.data_dir / "policy"
    return publish(opa, data_dir("policies"), config.policy_dir, folder, authorities.bundle_key)


def _bundle(opa: Path, config: Config, authorities: Authorities) -> Bundle:
    accepted = Accepted(config.data_dir / "policy", opa, authorities.bundle_key, config.policy.keys)
    return accepted.current() or built(opa, config, authorities)
