"""A bot's identity on its machine: joined for once, renewed from then on, each time with a new key.

The next key is kept before it is sent. When an answer is lost, or this process, the same key is shown again,
by which the cluster knows a repetition from a copy.
"""

import fcntl
import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from gateway.address import Address
from gateway.cli import channel, keys, private, profile
from gateway.cli.failures import LoginNeededError, UnreachableError
from gateway.cli.keys import NewKey
from gateway.cli.profile import Certified, Profile
from gateway.errors import AccessError, ConfigError, RegateError

Pause: TypeAlias = Callable[[float], bool]
"""Waits so many seconds; True when it is time to end."""

_NEXT_KEY = "next-key.pem"
_SOON = frozenset({"rate_limited", "policy_unavailable"})
_LONGEST_PAUSE = 60.0
_NEW_TOKEN = "on the cluster: regate tokens add --type=bot --bot=NAME; then start it with --token-file"  # noqa: S105 # no secret


@dataclass(frozen=True, slots=True)
class Held:
    """Who the machine is now, and until when."""

    user: str
    roles: tuple[str, ...]
    expires: datetime


@dataclass(frozen=True, slots=True)
class Machine:
    """What ``regate bot start`` was given; *token* reads the join token, when it is needed."""

    out: Path
    proxy: Address
    now: Callable[[], datetime]
    token: Callable[[], str]
    pin: str = ""
    proxy_ca: str = ""
    ttl_seconds: int | None = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder: two that renew one identity would be taken for a copy of it."""
        path = private.folder(self.out) / "bot.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise ConfigError(f"another regate bot works in {self.out}") from None
        try:
            yield
        finally:
            os.close(descriptor)

    def has_identity(self) -> bool:
        """True while there is a certificate that has not ended."""
        return self._open().login is not None

    def refresh(self) -> Held:
        """Renew the identity, or join where there is none."""
        chosen = self._open()
        return self._join(chosen) if chosen.login is None else self._renew(chosen, chosen.login)

    def _open(self) -> Profile:
        return profile.open_profile(self.proxy, now=self.now(), at=self.out)

    def _join(self, chosen: Profile) -> Held:
        api, trusted = channel.establish(chosen, pin=self.pin, proxy_ca=self.proxy_ca)
        ping = api.get("/v1/ping")  # an unverified proxy is found out before it is sent the token
        private.remove(chosen.folder / _NEXT_KEY)
        made = keys.make()
        answer = api.post("/v1/bots/join", {"token": self.token(), **self._asked(made)})
        chosen = replace(
            chosen,
            cluster=str(answer["cluster"]),
            user=str(answer["user"]),
            others=channel.others(self.proxy, ping),
        )
        channel.learn(chosen, answer, trusted)
        return _saved(chosen, made, answer)

    def _renew(self, chosen: Profile, login: Certified) -> Held:
        made = _next_key(chosen, login)
        answer = channel.api(chosen).post("/v1/bots/renew", self._asked(made))
        channel.learn(chosen, answer, channel.kept_trust(chosen))
        return _saved(chosen, made, answer)

    def _asked(self, made: NewKey) -> dict[str, Any]:
        ttl = {} if self.ttl_seconds is None else {"ttl_seconds": self.ttl_seconds}
        return {"csr": made.request_pem, **ttl}


def keep(
    machine: Machine, pause: Pause, say: Callable[[str], None], chance: Callable[[], float] = random.random
) -> None:
    """Join or renew, and again between half and two thirds of each certificate's life, until *pause* says so.

    While nobody answers it tries again, ever more seldom, until the certificate has ended.
    """
    failures, had_identity = 0, machine.has_identity()
    while True:
        if had_identity and not machine.has_identity():
            raise ConfigError("the bot's identity has ended before it was renewed", hint=_NEW_TOKEN)
        try:
            held = machine.refresh()
        except RegateError as error:
            if not _passes(error, has_identity=had_identity):
                raise
            seconds = min(_LONGEST_PAUSE, 2.0**failures) * (0.5 + chance() / 2)
            failures += 1
            say(f"{error}; trying again in {seconds:.0f} seconds")
        else:
            failures, had_identity = 0, True
            left = (held.expires - machine.now()).total_seconds()
            seconds = max(1.0, left * (1 / 2 + chance() / 6))
            say(f"{told(held)}; next in {seconds:.0f} seconds")
        if pause(seconds):
            return


def told(held: Held) -> str:
    """One line about an identity."""
    return f"{held.user} has a certificate until {held.expires:%Y-%m-%d %H:%M:%S} UTC"


def _passes(error: RegateError, *, has_identity: bool) -> bool:
    """Whether trying again may help: nobody answered, or the cluster could not answer just now."""
    match error:
        case UnreachableError():
            return True
        case LoginNeededError():  # a connection that was closed early looks like a refused certificate
            return has_identity
        case AccessError(code=code):
            return code in _SOON
    return type(error) is RegateError  # a 5xx of the API


def _next_key(chosen: Profile, login: Certified) -> NewKey:
    """The key for the next certificate: the one of an attempt before, while it was not certified."""
    path = chosen.folder / _NEXT_KEY
    try:
        kept = keys.load(private.read(path))
        if not keys.is_certified(kept, private.read(login.certificate)):
            return kept
    except (FileNotFoundError, ValueError, TypeError):
        pass
    made = keys.make()
    private.write(path, made.key_pem.encode("ascii"))
    return made


def _saved(chosen: Profile, made: NewKey, answer: Mapping[str, Any]) -> Held:
    profile.save_identity(chosen, key=made.key_pem, certificate=str(answer["certificate"]))
    private.remove(chosen.folder / _NEXT_KEY)
    roles = tuple(str(role) for role in answer["roles"])
    return Held(str(answer["user"]), roles, datetime.fromisoformat(answer["expires"]))
