"""Bundles from git, a folder and an address, and what becomes of those that cannot be had."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import structlog
from aiohttp import web

from gateway.errors import ConfigError, ConflictError
from gateway.model.identity import Subject
from gateway.services import fetching
from gateway.services.fetching import Fetcher, fetch
from gateway.supply import Source, problems


class Taker:
    """Takes bundles, and refuses what it was told to."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, bytes]] = []
        self.error: Exception | None = None

    async def publish(self, subject: Subject, content: bytes, source: str) -> object:
        self.taken.append((subject.kind, source, content))
        if self.error is not None:
            raise self.error
        return {}


def _commit(folder: Path, content: bytes) -> None:
    (folder / "dist").mkdir(exist_ok=True)
    (folder / "dist" / "policy.tar.gz").write_bytes(content)
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    for arguments in (("add", "-f", "."), (*who, "commit", "-q", "-m", "x")):
        subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", "-b", "main", tmp_path / "repo"], check=True, capture_output=True)
    _commit(tmp_path / "repo", b"first")
    return tmp_path / "repo"


@pytest_asyncio.fixture
async def address() -> AsyncIterator[str]:
    async def bundle(request: web.Request) -> web.Response:
        return web.Response(body=b"served") if request.path == "/b.tar.gz" else web.Response(status=404)

    app = web.Application()
    app.router.add_get("/{name}", bundle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


async def test_git_gives_what_was_committed_and_not_what_lies_there(checkout: Path) -> None:
    (checkout / "dist" / "policy.tar.gz").write_bytes(b"not committed")
    assert await fetch(Source("git", str(checkout))) == b"first"
    assert await fetch(Source("git", str(checkout), ref="main")) == b"first"
    _commit(checkout, b"second")
    assert await fetch(Source("git", str(checkout))) == b"second"


async def test_a_folder_and_an_address_give_what_is_there(tmp_path: Path, address: str) -> None:
    (tmp_path / "b.tar.gz").write_bytes(b"here")
    assert await fetch(Source("dir", str(tmp_path), file="b.tar.gz")) == b"here"
    assert await fetch(Source("url", f"{address}/b.tar.gz")) == b"served"


async def test_what_cannot_be_had_is_an_error(checkout: Path, address: str, tmp_path: Path) -> None:
    for source in (
        Source("git", str(checkout), ref="nowhere"),
        Source("git", str(checkout), file="missing"),
        Source("git", str(tmp_path / "missing")),
        Source("url", f"{address}/missing"),
    ):
        with pytest.raises(ConfigError):
            await fetch(source)
    with pytest.raises(OSError, match="No such file"):
        await fetch(Source("dir", str(tmp_path), file="missing"))


async def test_no_secret_of_an_address_is_told(address: str) -> None:
    place = address.removeprefix("http://")
    with pytest.raises(ConfigError, match=rf"^http://{place}/missing answered 404$"):
        await fetch(Source("url", f"http://user:hunter2@{place}/missing?signature=hunter3"))


async def test_a_source_that_went_away_again_is_told_of_again(tmp_path: Path) -> None:
    path = tmp_path / "b"
    fetcher = Fetcher(Source("dir", str(tmp_path), file="b"), Taker(), structlog.get_logger())
    with structlog.testing.capture_logs() as told:
        for is_there in (False, False, True, True, False, False, True):
            path.write_bytes(b"one") if is_there else path.unlink(missing_ok=True)
            await fetcher.once()
    errors = [entry["error"] for entry in told if entry["log_level"] == "error"]
    assert errors == [f"cannot read {path}: no such file or directory"] * 2
    assert [entry["event"] for entry in told].count("the policy source answers again") == 2


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("https://example.com/policy.tar.gz", True),
        ("http://127.0.0.1:8000/policy.tar.gz", True),
        ("http://[::1]:8000/policy.tar.gz", True),
        ("http://example.com/policy.tar.gz", False),
        ("http://127.0.0.1.example.com/policy.tar.gz", False),
        ("http://localhost@example.com/policy.tar.gz", False),
        ("https://", False),
        ("https://[", False),
        ("ftp://localhost/policy.tar.gz", False),
    ],
)
def test_an_address_is_encrypted_or_of_this_host(url: str, is_taken: bool) -> None:  # noqa: FBT001 # a table
    found = list(problems({"keys": ["team.pem"], "source": {"url": url}}))
    assert (not found) == is_taken


async def test_what_is_too_large_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "MAX_BYTES", 10)
    (tmp_path / "b").write_bytes(b"x" * 11)
    with pytest.raises(ConfigError, match="larger"):
        await fetch(Source("dir", str(tmp_path), file="b"))


async def test_the_same_bytes_are_published_once_and_new_ones_again(tmp_path: Path) -> None:
    taker, path = Taker(), tmp_path / "b"
    fetcher = Fetcher(Source("dir", str(tmp_path), file="b"), taker, structlog.get_logger())
    await fetcher.once()  # nothing is there yet
    for content in (b"one", b"one", b"two"):
        path.write_bytes(content)
        await fetcher.once()
    assert taker.taken == [("local", "dir", b"one"), ("local", "dir", b"two")]


@pytest.mark.parametrize("error", [ConflictError("older"), ConfigError("bad")])
async def test_a_refused_bundle_is_not_offered_again_and_does_not_end_the_watch(
    error: Exception, tmp_path: Path
) -> None:
    taker = Taker()
    taker.error = error
    (tmp_path / "b").write_bytes(b"bad")
    fetcher = Fetcher(Source("dir", str(tmp_path), file="b", period_seconds=0), taker, structlog.get_logger())
    watching = asyncio.create_task(fetcher.run())
    async with asyncio.timeout(30):
        while not taker.taken:  # noqa: ASYNC110 # it has no event to wait for
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)  # what would be offered once too often shows
    assert len(taker.taken) == 1
    assert not watching.done()
    watching.cancel()
    await asyncio.wait([watching])
