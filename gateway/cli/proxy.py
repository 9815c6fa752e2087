"""``regate proxy db``: a port on this machine for graphical clients and whatever cannot do certificates."""

import asyncio  # noqa: TID251
import os
import shlex
import signal
import socket
import ssl
import sys
from datetime import datetime, timedelta
from typing import Any

import click

from gateway.address import Address
from gateway.cli import channel, clients, native, output, profile, route
from gateway.cli.options import examples, format_option, proxy_option
from gateway.cli.profile import DatabaseLogin, Profile
from gateway.cli.tunnel import HOST, Tunnel, Upstream, listen
from gateway.clock import SystemClock, utc
from gateway.errors import ConfigError, RegateError

_LOOK_SECONDS = 15.0  # a laptop that slept finds out this soon that its certificate has ended


@click.group()
def proxy() -> None:
    """A local port for clients that cannot do certificates."""


@proxy.command(
    epilog=examples(
        "regate proxy db --db-user=alice --db-name=mydb --tunnel my-postgres",
        "regate proxy db --db-user=alice --db-name=mydb --tunnel --port=5432 my-postgres",
    )
)
@click.argument("database")
@click.option("--db-user", default="", help="The database user to connect as.")
@click.option("--db-name", default="", help="The database name to connect to.")
@click.option("--tunnel", is_flag=True, help="Do TLS here, so that the client connects without it.")
@click.option(
    "-p",
    "--port",
    type=click.IntRange(1, 65535),
    default=None,
    help="The local port. [default: any that is free]",
)
@proxy_option
@format_option
def db(
    database: str, db_user: str, db_name: str, port: int | None, proxy: str, form: str, *, tunnel: bool
) -> None:
    """Open a port on 127.0.0.1 that leads to a database.

    With --tunnel, clients connect without TLS and without a password, and the port adds both certificate and
    encryption. Without it, the client does TLS itself with the files of regate db config. Ctrl-C ends it.
    """
    chosen = profile.current(proxy, now=utc(SystemClock()))
    profile.need_login(chosen)
    got = route.obtain(chosen, database, db_user=db_user, db_name=db_name)
    serving = _Serving(chosen, got, is_tunnel=tunnel, form=form)
    with _listen(port or 0) as listening:
        interrupted = asyncio.run(serving.run(listening))
    if interrupted:
        raise KeyboardInterrupt


def _listen(port: int) -> socket.socket:
    try:
        return listen(port)
    except OSError as error:
        hint = "leave --port out to get a free one"
        reason = os.strerror(error.errno or 0).lower()  # the error's own words repeat the address
        raise ConfigError(f"cannot listen on {HOST}:{port}: {reason}", hint=hint) from error


class _Serving:
    """The port while it is open: its certificate is renewed as long as the login lasts."""

    def __init__(self, chosen: Profile, got: DatabaseLogin, *, is_tunnel: bool, form: str) -> None:
        self._chosen = chosen
        self._got = got
        self._is_tunnel = is_tunnel
        self._form = form
        self._complained = ""
        self._context = self._new_context()

    async def run(self, listening: socket.socket) -> bool:
        """Serve until a signal; True when it was Ctrl-C."""
        stop = asyncio.Event()
        signals: list[int] = []
        loop = asyncio.get_running_loop()

        def end(number: int) -> None:
            signals.append(number)
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end, number)
        alpn = _alpn(self._got.route.protocol) if self._is_tunnel else ""
        port = listening.getsockname()[1]
        said = clients.introduction(self._got.route.protocol, HOST, port) if self._is_tunnel else b""
        to = self._chosen.proxy if self._is_tunnel else native.need(self._chosen, self._got)
        upstream = Upstream(to, lambda: self._context, alpn, said)
        tunnel = Tunnel(upstream, self._warn)
        async with asyncio.TaskGroup() as tasks:
            keeper = tasks.create_task(self._keep())
            try:
                self._announce(port)
                await tunnel.run(listening, stop)
            finally:
                keeper.cancel()
        return signal.SIGINT in signals

    def _new_context(self) -> ssl.SSLContext | None:
        if not self._is_tunnel:
            return None
        return channel.database_context(self._chosen, self._got, _alpn(self._got.route.protocol))

    async def _keep(self) -> None:
        """Renew the certificate when a third of its life is left; say once what stands against it."""
        renew_at = _renew_at(self._got, utc(SystemClock()))
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = utc(SystemClock())
            if now < renew_at:
                continue
            try:
                self._got = await asyncio.to_thread(self._renew, now)
                self._context = self._new_context()
            except RegateError as error:
                end = self._got.certified.expires
                state = "has ended" if end <= now else f"ends at {end:%H:%M:%S} UTC"
                self._warn(f"the certificate {state} and cannot be renewed: {error}", error.hint)
            else:
                renew_at = _renew_at(self._got, utc(SystemClock()))
                self._complained = ""

    def _renew(self, now: datetime) -> DatabaseLogin:
        # The profile is read again: a login in another terminal keeps this port alive.
        chosen = profile.open_profile(self._chosen.proxy, now=now)
        where = self._got.route
        return route.renew(chosen, where.database, db_user=where.db_user, db_name=where.db_name)

    def _warn(self, sentence: str, hint: str = "") -> None:
        if sentence == self._complained:
            return
        self._complained = sentence
        click.echo(
            f"{datetime.now().astimezone():%H:%M:%S} {sentence}{f' ({hint})' if hint else ''}", err=True
        )

    def _announce(self, port: int) -> None:
        shown = self._about(port)

        def text() -> None:
            click.echo(f"Started DB proxy on {HOST}:{port}\n")
            click.echo("Point your client to:")
            for name in ("host", "port", "user", "database"):
                click.echo(f"  {name.capitalize() + ':':<10}{output.clean(str(shown[name]))}")
            click.echo(f"  {'Password:':<10}leave it empty")
            click.echo(f"  {'SSL:':<10}{shown['ssl']}\n")
            if self._is_tunnel:
                click.echo(f"or to:\n  {shown['uri']}\n  {shown['client']}\n")
            else:
                click.echo(f"or run:\n  {shown['client']}\n")
            click.echo("While it is open, everybody on this machine can use this port. Ctrl-C closes it.")

        output.show(shown, self._form, text)
        sys.stdout.flush()

    def _about(self, port: int) -> dict[str, Any]:
        where = self._got.route
        shown: dict[str, Any] = {"host": HOST, "port": port, "user": where.db_user, "database": where.db_name}
        if self._is_tunnel:
            shown["ssl"] = "disabled (the port does it)"
            shown["uri"] = clients.uri(where.protocol, HOST, port, where.db_user, where.db_name)
            if where.protocol != "postgres":
                words = clients.at_port(where.protocol, HOST, port, where.db_name, where.db_user)
                shown["client"] = shlex.join([clients.PROGRAMS[where.protocol].name, *words])
                return shown
            psql = {"host": HOST, "port": str(port), "user": where.db_user, "dbname": where.db_name}
            psql |= {"sslmode": "disable", "gssencmode": "disable"}
        elif where.protocol != "postgres":
            own = native.need(self._chosen, self._got)
            name = own.host
            shown["ssl"] = f"as {name}, with the files of: regate db config {where.database}"
            shown["client"] = native.command(self._chosen, self._got, Address(HOST, port))
            return shown
        else:
            psql = route.settings(self._chosen, self._got) | {"hostaddr": HOST, "port": str(port)}
            name = self._chosen.proxy.host
            shown["ssl"] = f"verify-full as {name}, with the files of: regate db config {where.database}"
        shown["psql"] = shown["client"] = route.psql(psql)
        return shown


def _renew_at(got: DatabaseLogin, now: datetime) -> datetime:
    left = got.certified.expires - now
    return got.certified.expires - max(left / 3, timedelta(0))


def _alpn(protocol: str) -> str:
    from gateway.protocols import REGISTRY  # noqa: PLC0415 # imports every codec: only a tunnel needs to

    known = REGISTRY.get(protocol)
    if known is None or not known.alpn:
        raise ConfigError(f"this version has no tunnel for {protocol}")
    return known.alpn[0]
