"""How a service becomes part of a cluster: it makes a key, checks who answers, and shows its token.

With a pin, 1. the authority is fetched over a connection that verifies nothing and carries nothing secret;
2. its key must have the pinned digest; 3. the token travels on a new connection, verified with that
authority. Without one the system's roots must know the address.
"""

import asyncio  # noqa: TID251
import os
import ssl
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.ca.keys import ca_pin
from gateway.ca.tls import HOST, HTTP, backend_context, towards_the_cluster_itself
from gateway.config import Join
from gateway.errors import AccessError, BackendError, ConfigError
from gateway.tunnel.credentials import Credentials, new_key, now, pem_of, request_for
from gateway.tunnel.remote import CALL_SECONDS, refused

MOST_SKEW_SECONDS = 60
_MAX_TOKEN = 4096
_log = structlog.get_logger("regate")


async def join(wanted: Join, service: str, hostname: str, addresses: Sequence[str] = ()) -> Credentials:
    """Join the cluster behind ``wanted.server`` as *service*.

    Raises:
        ConfigError: there is no token, the cluster is not the pinned one, or the clocks are apart.
        AccessError: the token is not good for this.
        BackendError: nobody answers; try again.
    """
    token = _token(wanted)
    context = await _trusted(wanted)
    key = new_key()
    document = {
        "token": token,
        "service": service,
        "csr": request_for(key),
        "hostname": hostname,
        "names": list(addresses),
    }
    said = await _call(wanted, "POST", "/v1/join", context, document)
    return Credentials(key=pem_of(key), **said)


def _token(wanted: Join) -> str:
    path = wanted.token_file
    if path is None:
        token = wanted.token
    else:
        try:
            token = _token_in(path)
        except FileNotFoundError:
            raise ConfigError(
                f"there is no token in {path}",
                hint="make one on the cluster: regate tokens add --type=db --format=text",
            ) from None
    if not token:
        raise ConfigError("auth_token: expected a token, or the path of a file that holds one")
    return token


def _token_in(path: Path) -> str:
    """The token in a file; that others may read it is told, and no reason to stop.

    It works for minutes and mostly once; ``> /tmp/token`` leaves such a file, and the secrets that Kubernetes
    mounts are links that a group may read.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o004:
            _log.warning("everybody on this host may read the join token", hint=f"chmod 600 {path}")
        return file.read(_MAX_TOKEN).decode("utf-8", "replace").strip()


async def _trusted(wanted: Join) -> ssl.SSLContext:
    """TLS settings that know the cluster; also looks at the clock, of which certificates depend."""
    if not wanted.ca_pin:
        context = ssl.create_default_context()
        await _call(wanted, "GET", "/v1/ping", context, None)
        return context
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    ping = await _call(wanted, "GET", "/v1/ping", unverified, None)
    authority = _pinned(wanted, ping)
    _same_time(wanted, ping)
    return towards_the_cluster_itself(backend_context(authority, alpn=[HOST, HTTP]))


def _pinned(wanted: Join, ping: Any) -> str:
    try:
        shown = x509.load_pem_x509_certificates(str(ping["host_ca"]).encode("ascii"))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{wanted.server} did not show its authority: is it a Regate proxy?") from error
    for certificate in shown:  # two during a rotation; only the pinned one is believed
        if ca_pin(certificate) == wanted.ca_pin:
            return certificate.public_bytes(Encoding.PEM).decode("ascii")
    found = " and ".join(ca_pin(certificate) for certificate in shown)
    raise ConfigError(
        f"{wanted.server} has not the pinned authority: expected {wanted.ca_pin}, got {found}",
        hint="stop here unless the cluster was set up anew; ask its operator for the pin",
    )


def _same_time(wanted: Join, ping: Any) -> None:
    try:
        theirs = datetime.fromisoformat(str(ping["time"]))
    except (ValueError, KeyError, TypeError):
        return
    apart = (now() - theirs).total_seconds()
    if abs(apart) > MOST_SKEW_SECONDS:
        direction = "ahead of" if apart > 0 else "behind"
        raise ConfigError(
            f"this host's clock is {abs(apart):.0f} seconds {direction} that of {wanted.server}",
            hint="set the clock: certificates are good from one minute to the next",
        )


async def _call(wanted: Join, method: str, path: str, context: ssl.SSLContext, document: Any) -> Any:
    limit = aiohttp.ClientTimeout(total=CALL_SECONDS)
    url = f"https://{wanted.server}{path}"
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.request(method, url, json=document, ssl=context) as response,
        ):
            if response.status >= 400:
                raise await refused(response)
            return await response.json()
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise BackendError(f"cannot reach {wanted.server}: {str(error) or 'no answer in time'}") from error


async def until_joined(
    folder: Any, wanted: Join, service: str, hostname: str, addresses: Sequence[str], say: Any
) -> Credentials:
    """The credentials in *folder*, or new ones; waits as long as nobody answers."""
    found = Credentials.load(folder)
    if found is not None and not found.has_expired(now()):
        return found
    delay = 1.0
    while True:
        try:
            made = await join(wanted, service, hostname, addresses)
        except BackendError as error:
            say.warning("cannot join yet", error=str(error), again_in_seconds=delay)
        except AccessError as error:
            if error.code not in {"rate_limited", "policy_unavailable"}:
                raise
            say.warning("cannot join yet", error=str(error), again_in_seconds=delay)
        else:
            made.save(folder)
            return made
        await asyncio.sleep(delay)
        delay = min(delay * 2, 30.0)
