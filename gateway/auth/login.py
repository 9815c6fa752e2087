"""Password logins: the same words and the same time, whoever it was that does not exist.

1. Attempts count against the name and the source before anything is looked up, known name or not. 2. A
password is hashed in every case. 3. Only after the password was right does an answer depend on the user:
a code is asked for, or a lock is named. 4. Wrong passwords and wrong codes fill one limit together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from gateway.auth import certificates, limits, passwords, totp
from gateway.auth.desk import Desk
from gateway.auth.locks import refuse_locked
from gateway.auth.store import Change, Credentials, Resource
from gateway.ca import issue
from gateway.ca.profile import LOGIN_DEFAULT, LOGIN_MAX, Kind as Ca, PublicKey, public_key_from_csr
from gateway.errors import AccessError
from gateway.model.event import Kind
from gateway.model.identity import Use


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """Who wants to log in, with what, from where; ``totp`` is empty when no code was given."""

    user: str
    password: str = field(repr=False)
    csr_pem: str = field(repr=False)
    totp: str = field(default="", repr=False)
    ttl: timedelta | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Login:
    """A login: the certificate, and what the client needs to trust and show."""

    certificate_pem: str
    host_ca_pem: str
    cluster: str
    user: str
    roles: tuple[str, ...]
    traits: Mapping[str, tuple[str, ...]]
    expires: datetime


async def login(desk: Desk, request: LoginRequest) -> Login:
    """The login, or an AccessError."""
    key = public_key_from_csr(request.csr_pem)
    try:
        await _count(desk, request)
        user, known = await _verify(desk, request)
    except AccessError as refusal:
        await _record_failure(desk, request, refusal)
        raise
    return await _issue(desk, request, user, known, key)
