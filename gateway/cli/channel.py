"""Which way a command reaches the API: the unix socket on the auth service's host, or the login."""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.address import Address
from gateway.cli import private, profile, trust
from gateway.cli.client import TIMEOUT_SECONDS, Api, PublicEndpoint, SocketEndpoint
from gateway.cli.failures import LoginNeededError, UnreachableError
from gateway.cli.profile import DatabaseLogin, Profile
from gateway.cli.trust import Trust
from gateway.clock import SystemClock, utc
from gateway.errors import ConfigError

DEFAULT_CONFIG = "/etc/regate.yaml"


def admin(config: str, proxy: str, *, timeout: float = TIMEOUT_SECONDS) -> Api:
    """The API for a command of an administrator.

    A configuration that was named (``-c`` or REGATE_CONFIG) is obeyed: its socket or an error. Else the
    default file's socket is taken where it is accessible, else the login.
    """
    host = None if proxy and not config else on_this_host(config, timeout=timeout)
    if host is not None:
        return host
    try:
        return user(proxy, timeout=timeout)
    except LoginNeededError as error:
        hint = "run regate login, or on the host of the auth service give its file with -c FILE"
        raise LoginNeededError(str(error), hint=hint) from error


def every(config: str, proxy: str) -> list[Api]:
    """As ``admin``, of each node that the login knows: for what one of them has and the others do not."""
    host = None if proxy and not config else on_this_host(config)
    if host is not None:
        return [host]
    chosen = profile.current(proxy, now=utc(SystemClock()))
    trusted, login = kept_trust(chosen), profile.need_login(chosen)
    return [Api(PublicEndpoint(node, trusted, login)) for node in (chosen.proxy, *chosen.others)]


def on_this_host(config: str = "", *, timeout: float = TIMEOUT_SECONDS) -> Api | None:
    """The API through the unix socket; None where no configuration was named and none is at its place."""
    named = config or os.environ.get("REGATE_CONFIG", "")
    if named:
        path = _socket_of(Path(named))
        if not _exists(path):
            hint = f"start it with: regate start -c {named}"
            raise UnreachableError(f"no auth service listens on {path}", hint=hint)
        return Api(SocketEndpoint(path), timeout=timeout)
    if os.access(DEFAULT_CONFIG, os.R_OK):
        path = _socket_of(Path(DEFAULT_CONFIG))
        if _exists(path) and os.access(path, os.W_OK):
            return Api(SocketEndpoint(path), timeout=timeout)
    return None


def user(proxy: str, *, timeout: float = TIMEOUT_SECONDS) -> Api:
    """The API with the login of the profile for *proxy* (or the current one)."""
    return api(profile.current(proxy, now=utc(SystemClock())), timeout=timeout)


def api(chosen: Profile, *, timeout: float = TIMEOUT_SECONDS) -> Api:
    """The API with the login of *chosen*."""
    trusted, login = kept_trust(chosen), profile.need_login(chosen)
    endpoints = [PublicEndpoint(proxy, trusted, login) for proxy in (chosen.proxy, *chosen.others)]
    return Api(*endpoints, timeout=timeout)


def others(proxy: Address, ping: Mapping[str, Any]) -> tuple[Address, ...]:
    """The cluster's further proxies, as *ping* of a verified one names them."""
    found = []
    for text in ping.get("proxies", ()):
        try:
            found.append(profile.proxy_address(str(text)))
        except ConfigError:
            continue
    return tuple(address for address in found if address != proxy)


def kept_trust(chosen: Profile) -> Trust:
    """How the profile's proxy was verified when it was first trusted."""
    return Trust(chosen.proxy_ca())


def database_context(chosen: Profile, got: DatabaseLogin, alpn: str) -> ssl.SSLContext:
    """TLS towards the proxy with the certificate for a database; *alpn* names the protocol."""
    made = trust.context(kept_trust(chosen))
    made.load_cert_chain(got.certified.certificate, got.certified.key)
    made.set_alpn_protocols([alpn])
    return made


def learn(chosen: Profile, answer: Mapping[str, Any], trusted: Trust) -> None:
    """Keep the host authorities that the proxy, verified as *trusted* says, tells of.

    During a rotation the next one is among them, and is known before the proxy shows it.
    """
    told = answer.get("host_ca")
    if not isinstance(told, str):
        return  # a proxy of version 0.1
    try:
        known = private.read(chosen.folder / "host-ca.pem").decode("ascii")
    except FileNotFoundError:
        known = told
    kept = trusted.proxy_ca
    try:
        proxy_ca = None if kept is None else trust.learned(kept, known, told)
    except ValueError as error:
        raise ConfigError(f"{chosen.folder} cannot be read", hint=f"rm -r {chosen.folder}") from error
    profile.save(chosen, host_ca=told, proxy_ca=proxy_ca)


def establish(chosen: Profile, *, pin: str, proxy_ca: str) -> tuple[Api, Trust]:
    """The API without a login, after the proxy's authority is known; nothing secret was sent before."""
    if pin:
        wanted = trust.check_pin_form(pin)
        ping = Api(PublicEndpoint(chosen.proxy, None)).get("/v1/ping")
        found = trust.by_pin(chosen.proxy, wanted, ping)
    elif proxy_ca:
        found = trust.by_file(Path(proxy_ca))
    else:
        found = kept_trust(chosen)
    return Api(PublicEndpoint(chosen.proxy, found)), found


def _socket_of(path: Path) -> Path:
    from gateway import config_file  # noqa: PLC0415 # reading YAML costs a quarter of a second; many commands need none

    return config_file.load(path).admin_socket


def _exists(path: Path) -> bool:
    try:
        return path.is_socket()
    except PermissionError:
        return False
