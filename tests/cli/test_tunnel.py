"""The local port: what goes in comes out at the proxy, and nothing is answered here."""

import asyncio
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.address import Address
from gateway.ca import keys
from gateway.ca.identity import from_certificate
from gateway.ca.issue import mint_host
from gateway.ca.tls import server_context
from gateway.cli import profile, proxy, route
from gateway.cli.tunnel import Tunnel, Upstream, listen
from gateway.clock import SystemClock, utc
from gateway.model.identity import Use
from tests.api.rig import Rig
from tests.cli.conftest import REGATE, Person, sign_up

SSL_REQUEST = struct.pack(">II", 8, 80877103)
PATIENCE = 60.0


@dataclass
class Peer:
    """A TLS server that sends back what it gets and remembers who connected."""

    port: int
    certificates: list[bytes] = field(default_factory=list)
    protocols: list[str | None] = field(default_factory=list)


@contextmanager
def _echo(
    authorities: keys.Authorities, *, alpn: tuple[str, ...] = ("postgresql", "http/1.1")
) -> Iterator[Peer]:
    minted = mint_host(authorities.host, names=["localhost"], ttl=timedelta(hours=1), now=utc(SystemClock()))
    context = server_context(minted, authorities.user.pem, alpn=alpn)
    listening = socket.create_server(("127.0.0.1", 0))
    peer = Peer(listening.getsockname()[1])

    def talk(plain: socket.socket) -> None:
        try:
            with context.wrap_socket(plain, server_side=True) as tls:
                peer.certificates.append(tls.getpeercert(binary_form=True) or b"")
                peer.protocols.append(tls.selected_alpn_protocol())
                while data := tls.recv(65536):
                    tls.sendall(data)
        except OSError:
            plain.close()

    def serve() -> None:
        threads = []
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                break
            threads.append(threading.Thread(target=talk, args=(plain,)))
            threads[-1].start()
        for thread in threads:
            thread.join(10)

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield peer
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        server.join(20)


@pytest.fixture(scope="module")
def authorities() -> keys.Authorities:
    return keys.make("test", SystemClock())


@asynccontextmanager
async def _tunnel(upstream: Upstream, said: list[str]) -> AsyncIterator[int]:
    stop = asyncio.Event()
    with listen(0) as listening:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Tunnel(upstream, said.append).run(listening, stop))
            try:
                yield listening.getsockname()[1]
            finally:
                stop.set()


def _context(authorities: keys.Authorities, alpn: str = "postgresql") -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authorities.host.pem)
    context.set_alpn_protocols([alpn])
    return context


async def test_bytes_come_back_whole_and_the_first_ones_are_the_clients(
    authorities: keys.Authorities,
) -> None:
    said: list[str] = []
    with _echo(authorities) as peer:
        upstream = Upstream(Address("localhost", peer.port), lambda: _context(authorities), "postgresql")
        async with _tunnel(upstream, said) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(SSL_REQUEST)
            # An answer of the tunnel's own would be one byte, S or N; the peer's is the request itself.
            assert await asyncio.wait_for(reader.readexactly(8), PATIENCE) == SSL_REQUEST
            data = os.urandom(1_000_000)
            sending = asyncio.create_task(_send(writer, data))
            assert await asyncio.wait_for(reader.readexactly(len(data)), PATIENCE) == data
            await sending
            writer.close()
            await writer.wait_closed()
        assert peer.protocols == ["postgresql"]
    assert said == []


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def test_many_connections_at_once_do_not_mix(authorities: keys.Authorities) -> None:
    async def one(port: int, number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for turn in range(20):
            message = f"{number}:{turn};".encode() * 100
            writer.write(message)
            assert await asyncio.wait_for(reader.readexactly(len(message)), PATIENCE) == message
        writer.close()
        await writer.wait_closed()

    with _echo(authorities) as peer:
        upstream = Upstream(Address("localhost", peer.port), lambda: _context(authorities), "postgresql")
        async with _tunnel(upstream, []) as port, asyncio.TaskGroup() as tasks:
            for number in range(16):
                tasks.create_task(one(port, number))


async def test_a_client_that_does_not_read_holds_back_the_sender_and_not_memory(
    authorities: keys.Authorities,
) -> None:
    sent = 0

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        try:
            while sent < 500_000_000:
                writer.write(bytes(65536))
                await writer.drain()
                sent += 65536
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    upstream = Upstream(Address("127.0.0.1", server.sockets[0].getsockname()[1]), lambda: None)
    async with _tunnel(upstream, []) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        held = -1
        async with asyncio.timeout(60):
            while sent != held:  # until all that may be held on the way is
                held = sent
                await asyncio.sleep(0.5)
        assert 0 < held < 50_000_000
        writer.transport.abort()
    server.close()


@pytest.mark.parametrize("reason", ["refused", "other authority", "other protocol"])
async def test_a_connection_that_cannot_be_made_is_closed_and_said(
    authorities: keys.Authorities, tmp_path: Path, reason: str
) -> None:
    said: list[str] = []
    other = keys.make("other", SystemClock())
    alpn = ("http/1.1",) if reason == "other protocol" else ("postgresql",)
    with _echo(other if reason == "other authority" else authorities, alpn=alpn) as peer:
        address = Address("localhost", 1 if reason == "refused" else peer.port)
        async with _tunnel(Upstream(address, lambda: _context(authorities), "postgresql"), said) as port:
            for _ in range(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
                writer.close()
    assert len(said) == 2
    assert {"refused": "cannot reach", "other authority": "no TLS with"}.get(reason, "") in said[0]


async def test_the_far_ends_close_reaches_the_client_and_the_clients_close_the_far_end(
    authorities: keys.Authorities,
) -> None:
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1) == b"b":
            writer.write(b"last words")
            writer.close()
            return
        await reader.read()
        closed.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    upstream = Upstream(Address("127.0.0.1", server.sockets[0].getsockname()[1]), lambda: None)
    async with _tunnel(upstream, []) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"b")
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b"last words"
        writer.close()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"a")
        await writer.drain()
        writer.close()
        await asyncio.wait_for(closed.wait(), PATIENCE)
    server.close()


async def test_a_renewed_certificate_counts_for_the_next_connection(authorities: keys.Authorities) -> None:
    asked = []

    def context() -> ssl.SSLContext:
        asked.append(1)
        return _context(authorities)

    with _echo(authorities) as peer:
        async with _tunnel(Upstream(Address("localhost", peer.port), context, "postgresql"), []) as port:
            for _ in range(3):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"x")
                assert await asyncio.wait_for(reader.readexactly(1), PATIENCE) == b"x"
                writer.close()
    assert len(asked) == 3


DB = "kind: db\nversion: v3\nmetadata: {name: tunnelled}\nspec: {protocol: postgres, uri: 'localhost:1'}\n"


@contextmanager
def _command(person: Person, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, object]]]:
    process = subprocess.Popen(
        [
            REGATE,
            "proxy",
            "db",
            "--db-user=toni",
            "--db-name=my db",
            "--format=json",
            *arguments,
            "tunnelled",
        ],
        env=person.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        text = ""
        while not text.endswith("}\n"):
            line = process.stdout.readline()
            assert line, process.communicate()
            text += line
        yield process, json.loads(text)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_the_command_shows_the_certificate_of_that_database_and_ends_on_ctrl_c(
    rig: Rig, admin: Person, person: Person
) -> None:
    admin.ok("create", "-f", stdin=DB)
    sign_up(rig, admin, person, "toni")
    with _echo(rig.authorities) as peer:
        # The login was made with the API's port; the connections go to the echoing peer's.
        _move(person, rig.port, peer.port)
        with _command(person, "--tunnel") as (process, shown):
            assert shown["host"] == "127.0.0.1"
            assert isinstance(shown["port"], int)
            assert "sslmode=disable" in str(shown["uri"])
            assert "/my%20db?" in str(shown["uri"])
            assert _listens_only_on_loopback(shown["port"])
            with socket.create_connection(("127.0.0.1", shown["port"]), timeout=PATIENCE) as client:
                client.sendall(SSL_REQUEST)
                assert client.recv(100) == SSL_REQUEST
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE)
            assert (process.returncode, said.strip()) == (130, "")
        identity = from_certificate(peer.certificates[0], now=utc(SystemClock()))
        assert identity.use is Use.DATABASE
        assert identity.route is not None
        assert (identity.route.database, identity.route.db_user, identity.route.db_name) == (
            "tunnelled",
            "toni",
            "my db",
        )
        assert peer.protocols == ["postgresql"]


def _move(person: Person, old: int, new: int) -> None:
    """Get the certificate from the API, then let the profile point to the other port."""
    person.ok("db", "login", "--db-user=toni", "--db-name=my db", "tunnelled")
    profiles = person.home / ".regate" / "profiles"
    (profiles / f"localhost_{old}").rename(profiles / f"localhost_{new}")
    about = profiles / f"localhost_{new}" / "profile.json"
    about.write_text(about.read_text().replace(f"localhost:{old}", f"localhost:{new}"))
    (person.home / ".regate" / "current").write_text(f"localhost:{new}")


def _listens_only_on_loopback(port: int) -> bool:
    listening = "0A"
    wanted = f":{port:04X}"
    rows = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return [row[1] for row in rows if row[1].endswith(wanted) and row[3] == listening] == [
        f"0100007F{wanted}"
    ]


async def test_a_certificate_is_renewed_while_the_login_lasts_and_its_end_is_said(
    rig: Rig,
    admin: Person,
    person: Person,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await asyncio.to_thread(admin.ok, "create", "-f", stdin=DB)
    await asyncio.to_thread(sign_up, rig, admin, person, "renewing")
    monkeypatch.setenv("REGATE_HOME", str(person.home / ".regate"))
    monkeypatch.setattr(proxy, "_LOOK_SECONDS", 0.05)
    chosen = profile.current("", now=utc(SystemClock()))
    got = await asyncio.to_thread(route.obtain, chosen, "tunnelled", db_user="renewing", db_name="mydb")
    soon = replace(got.certified, expires=utc(SystemClock()) + timedelta(seconds=1))
    serving = proxy._Serving(chosen, replace(got, certified=soon), is_tunnel=True, form="text")
    first = serving._context
    async with asyncio.TaskGroup() as tasks:
        keeper = tasks.create_task(serving._keep())
        async with asyncio.timeout(60):
            while serving._context is first:  # noqa: ASYNC110 # it has no event to wait for
                await asyncio.sleep(0.05)
        assert serving._got.certified.expires > utc(SystemClock()) + timedelta(minutes=50)
        keeper.cancel()
    profile.forget_login(chosen)
    serving._got = replace(got, certified=replace(soon, expires=utc(SystemClock())))
    async with asyncio.TaskGroup() as tasks:
        keeper = tasks.create_task(serving._keep())
        said = ""
        async with asyncio.timeout(30):
            while not said:
                await asyncio.sleep(0.05)
                said += capsys.readouterr().err
        await asyncio.sleep(0.5)  # what would be said once too often shows
        keeper.cancel()
    said += capsys.readouterr().err
    assert said.count("cannot be renewed: you are not logged in") == 1
    assert "run: regate login" in said


def test_without_tunnel_the_client_does_tls_itself(rig: Rig, admin: Person, person: Person) -> None:
    admin.ok("create", "-f", stdin=DB)
    sign_up(rig, admin, person, "toni2")
    person.ok("db", "ls")
    process = subprocess.Popen(
        [REGATE, "proxy", "db", "--db-user=toni2", "--db-name=mydb", "tunnelled"],
        env=person.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        port = int(first.rpartition(":")[2])
        context = ssl.create_default_context(cadata=rig.host_ca)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            tls.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert b'{"ok": true}' in _all(tls)
        process.send_signal(signal.SIGTERM)
        # Not communicate(): what readline() has buffered already would be lost to it.
        rest = process.stdout.read()
        _, said = process.communicate(timeout=PATIENCE)
        assert (process.returncode, said) == (0, "")
        assert "sslmode=verify-full" in rest
        assert "hostaddr=127.0.0.1" in rest
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _all(tls: ssl.SSLSocket) -> bytes:
    data = b""
    while piece := tls.recv(65536):
        data += piece
    return data


def test_a_port_that_is_taken_is_one_sentence(rig: Rig, admin: Person, person: Person) -> None:
    admin.ok("create", "-f", stdin=DB)
    sign_up(rig, admin, person, "toni3")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = (
            "proxy",
            "db",
            "--tunnel",
            "--db-user=toni3",
            "--db-name=mydb",
            f"--port={port}",
            "tunnelled",
        )
        done = person.run(*arguments)
    assert done.code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.err
