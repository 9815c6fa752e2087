"""What decisions were made from, found again by digest."""

import sqlite3
import stat
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock, moment_of, new_id
from gateway.errors import NotFoundError, PolicyError
from gateway.policy import document, evidence
from gateway.policy.evidence import Content, Evidence, Revision
from gateway.policy.keeper import Keeper
from tests.policy import documents


def _content(value: Any) -> Content:
    body = document.encode(value)
    return Content(document.digest(body), body)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Evidence]:
    with Evidence(tmp_path) as opened:
        yield opened


def test_a_question_is_found_by_its_digest(kept: Evidence) -> None:
    first, second = _content({"identity": {"user": "alice"}}), _content({"session": {}, "statements": []})
    kept.write([first, second, first], [])
    assert kept.question(first.digest).value == {"identity": {"user": "alice"}}
    assert {found.digest for found in kept.questions([first.digest, second.digest, "0" * 64])} == {
        first.digest,
        second.digest,
    }
    with pytest.raises(NotFoundError):
        kept.question("0" * 64)


def test_contents_are_the_bytes_that_were_kept(kept: Evidence) -> None:
    secret = Content("0" * 64, b'{"less":true}', is_withheld=True)
    content = _content({"session": {}, "statements": []})
    kept.write([content, secret], [])
    found = {item.digest: item for item in kept.contents([content.digest, secret.digest])}
    assert found == {content.digest: content, secret.digest: secret}


def test_a_folder_without_evidence_is_named_with_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"there is no evidence\.db in .*") as refused:
        Evidence(tmp_path, read_only=True)
    assert "the folder of a log" in refused.value.hint


def test_a_revision_names_its_content_and_after_a_restore_the_one_of_the_time(kept: Evidence) -> None:
    old, new = _content({"data_revision": 7, "a": 1}), _content({"data_revision": 7, "a": 2})
    kept.write([old, new], [Revision("data", "7", old.digest, 100), Revision("data", "7", new.digest, 200)])
    assert kept.data(7, 150)["a"] == 1
    assert kept.data(7, 200)["a"] == 2
    assert kept.data(7, 50)["a"] == 1
    with pytest.raises(NotFoundError, match="data revision 8"):
        kept.data(8, 150)


def test_a_bundle_comes_back_byte_for_byte(kept: Evidence) -> None:
    body = bytes(range(256)) * 40
    digest = document.digest(body)
    kept.write([Content(digest, body)], [Revision("policy", "3-abc", digest, 1)])
    assert kept.bundle("3-abc", 2) == body


@pytest.mark.parametrize("name", ["app.jwt", "request.claims", "session_password", "auth_token"])
def test_the_value_of_a_setting_that_may_be_secret_is_never_written(name: str, kept: Evidence) -> None:
    facts = documents.sets(name, "hunter2-hunter2")
    session = documents.session("bob", "analyst")
    body = b'{"session":%b,"statements":%b}' % (session.content, document.encode([facts[0].to_json()]))
    content = evidence.without_secrets(document.digest(body), body)
    assert b"hunter2" not in content.body
    kept.write([content], [])
    found = kept.question(content.digest)
    assert found.is_withheld
    assert found.value["statements"][0]["settings"][0]["value"] == evidence.WITHHELD


def test_other_settings_are_kept_as_they_are() -> None:
    body = document.encode({"statements": [documents.sets("search_path", "app")[0].to_json()]})
    assert evidence.without_secrets("d", body) == Content("d", body)


def test_what_was_changed_on_disk_is_not_believed(tmp_path: Path) -> None:
    content = _content({"identity": {"user": "alice"}})
    with Evidence(tmp_path) as opened:
        opened.write([content], [])
    for body, words in [
        (zlib.compress(b'{"identity":{"user":"mallory"}}'), "differs"),
        (zlib.compress(content.body)[:-3], "cut"),
        (b"nothing", "unfolded"),
    ]:
        with sqlite3.connect(tmp_path / evidence.FILE) as database:
            database.execute("UPDATE content SET body = ?", [body])
        with Evidence(tmp_path, read_only=True) as opened, pytest.raises(PolicyError, match=words):
            opened.question(content.digest)


def test_the_file_is_for_its_owner_alone(kept: Evidence, tmp_path: Path) -> None:
    kept.write([_content({})], [])
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_keeper_writes_once_for_each_digest_and_the_rest_when_it_is_closed(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, SystemClock())
    session, facts = documents.session("bob", "analyst"), document.encode([])
    digest = session.digest(facts)
    for _ in range(100):
        keeper.asked(digest, session.content, facts)
    connect = document.encode(documents.connect("alice", "db-access").to_json())
    keeper.asked(document.digest(connect), connect)
    data = keeper.in_force("data", "7", document.encode(documents.data()))
    keeper.close()
    with Evidence(tmp_path, read_only=True) as opened:
        assert opened.question(digest).value["session"]["user"] == "bob"
        assert opened.question(document.digest(connect)).value["identity"]["user"] == "alice"
        assert opened.digest_of("data", "7", time.time_ns()) == data
        assert opened.data(7, time.time_ns())["data_revision"] == 7
    with sqlite3.connect(tmp_path / evidence.FILE) as database:
        assert database.execute("SELECT count(*) FROM content").fetchone() == (3,)


def test_a_keeper_waits_for_its_disk(tmp_path: Path) -> None:
    place = tmp_path / "later"
    keeper = Keeper(place, SystemClock())
    body = document.encode({"identity": {}})
    keeper.asked(document.digest(body), body)
    time.sleep(0.1)
    place.mkdir()
    end = time.monotonic() + 60
    while not (place / evidence.FILE).exists() and time.monotonic() < end:
        time.sleep(0.02)
    keeper.close()
    with Evidence(place, read_only=True) as opened:
        assert opened.question(document.digest(body)).value == {"identity": {}}


def test_a_keeper_lets_go_of_what_it_cannot_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.policy.keeper._MOST_WAITING", 100)
    keeper = Keeper(tmp_path / "missing", SystemClock())
    for number in range(20):
        body = document.encode({"identity": {"user": str(number)}})
        keeper.asked(document.digest(body), body)
    assert 0 < keeper.lost < 20
    keeper.close()


def test_an_id_says_its_millisecond() -> None:
    now = 1_790_000_000_123_456_789
    assert moment_of(new_id(now)) == 1_790_000_000_123_000_000
    for wrong in ("", "x" * 26, new_id(now)[:-1]):
        with pytest.raises(ValueError, match="not"):
            moment_of(wrong)
