"""A person's own machine: the login, the proxy behind it, and the programs that connect."""

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta

from gateway.cli import channel, output, profile
from gateway.cli.checks import Check, bad, failed, good, note
from gateway.cli.client import Api, PublicEndpoint
from gateway.cli.failures import LoginNeededError
from gateway.clock import SystemClock, utc
from gateway.errors import RegateError

_SKEW = timedelta(seconds=60)  # what certificates are back-dated by


def examine(proxy: str) -> Iterator[Check]:
    """All checks of this person's login."""
    now = utc(SystemClock())
    yield _psql()
    try:
        chosen = profile.current(proxy, now=now)
    except LoginNeededError as error:
        yield note("login", str(error), error.hint)
        return
    except RegateError as error:
        yield failed("login", error)
        return
    yield good("private files", f"{profile.home()} is readable by you alone")
    api = Api(PublicEndpoint(chosen.proxy, channel.kept_trust(chosen)))
    try:
        ping = api.get("/v1/ping")
    except RegateError as error:
        yield failed(f"proxy {chosen.proxy}", error)
    else:
        yield good(f"proxy {chosen.proxy}", f"verified, cluster {output.clean(str(ping['cluster']))}")
        yield _skew(str(ping.get("time", "")))
    if chosen.login is None:
        yield note("login", "there is none, or it has ended", f"run: regate login --proxy={chosen.proxy}")
    else:
        yield good("login", f"{chosen.user}, until {output.until(chosen.login.expires, now)}")


def _skew(text: str) -> Check:
    try:
        apart = abs(datetime.fromisoformat(text) - utc(SystemClock()))
    except (ValueError, TypeError):
        return note("clock", "the proxy did not tell its time")
    if apart > _SKEW:
        seconds = int(apart.total_seconds())
        return bad("clock", f"{seconds} seconds apart from the proxy's", "synchronise the clocks of both")
    return good("clock", "agrees with the proxy's")


def _psql() -> Check:
    found = shutil.which("psql")
    if found is None:
        return note("psql", "not on the PATH", "install postgresql-client, or use regate proxy db --tunnel")
    return good("psql", found)
