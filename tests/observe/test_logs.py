"""Logs: one JSON line for each event, no secret, no control byte, whoever wrote the text."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.logs import REDACTED, clean, configure, redact, visible


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """Where the lines go; the set-up before the test comes back after it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_an_event_is_one_line_of_json(out: io.StringIO) -> None:
    configure(stream=out)
    structlog.get_logger().info("session started", database="sales", bytes=7, ratio=0.5, on=True, none=None)
    [line] = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "session started",
        "level": "info",
        "database": "sales",
        "bytes": 7,
        "ratio": 0.5,
        "on": True,
        "none": None,
    }


def test_the_level_is_kept(out: io.StringIO) -> None:
    configure(stream=out, level="warning")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert [line["event"] for line in lines(out)] == ["loud"]


def test_libraries_are_heard_through_the_same_filters(out: io.StringIO) -> None:
    configure(stream=out)
    logging.getLogger("library").warning("connect to %s", "postgres://ada:s3cret@db/x\x1b[2J")
    logging.getLogger("library").info("chatter")
    [line] = lines(out)
    assert line["event"] == f"connect to postgres://ada:{REDACTED}@db/x\\x1b[2J"


def test_a_traceback_is_cleaned_too(out: io.StringIO) -> None:
    configure(stream=out)
    try:
        int("password=hunter2 \x1b[31m")
    except ValueError:
        structlog.get_logger().exception("failed")
    text = out.getvalue()
    assert "hunter2" not in text
    assert "\x1b" not in text
    assert len(text.splitlines()) == 1
    assert "ValueError" in lines(out)[0]["exception"]


def test_a_terminal_gets_lines_for_people(out: io.StringIO) -> None:
    configure(stream=out, json=False)
    structlog.get_logger().info("started", user="a\x1b[2Jb\r\nc", password="hunter2")
    text = out.getvalue()
    assert "\x1b[2J" not in text
    assert "\r" not in text
    assert text.count("\n") == 1
    assert "hunter2" not in text
    assert "started" in text


SECRETS = [
    ("password", "hunter2"),
    ("db_password", "hunter2"),
    ("passphrase", "hunter2"),
    ("client_secret", "hunter2"),
    ("token", "hunter2"),
    ("join_token", "hunter2"),
    ("Authorization", "hunter2"),
    ("set_cookie", "hunter2"),
    ("private_key", "hunter2"),
    ("totp", "hunter2"),
    ("api_key", "hunter2"),
    ("credentials", {"a": "hunter2"}),
    ("tokens", ["hunter2", ("hunter2",)]),
    ("url", "postgres://ada:hunter2@db.example:5432/x"),
    ("event", "could not log in with password=hunter2"),
    ("event", "could not log in with password: hunter2, sorry"),
    ("event", "CREATE ROLE x PASSWORD 'hunter2'"),
    ("event", 'token="hunter2"'),
    ("header", "Bearer hunter2hunter2"),
    ("header", "authorization: basic aHVudGVyMmh1bnRlcjI="),
    ("pem", "-----BEGIN EC PRIVATE KEY-----\nhunter2\n-----END EC PRIVATE KEY-----"),
    ("pem", "-----BEGIN PRIVATE KEY-----\nhunter2"),
    ("nested", {"deep": [{"password": "hunter2"}]}),
    ("data", b"hunter2"),
    ("error", ValueError("password=hunter2")),
]


@pytest.mark.parametrize(("name", "value"), SECRETS, ids=lambda item: str(item)[:40])
def test_a_secret_does_not_get_out(out: io.StringIO, name: str, value: Any) -> None:
    configure(stream=out)
    fields = {"event": "x", name: value}
    structlog.get_logger().info(fields.pop("event"), **fields)
    assert "hunter2" not in out.getvalue()
    assert "aHVudGVyMmh1bnRlcjI" not in out.getvalue()
    assert len(lines(out)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "ordinary words, numbers 12 and a path /var/lib/regate",
        "https://example.org/path?query=1",
        "ada@example.org",
        "the policy engine does not answer",
        "grüße aus Köln, 東京",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert visible(redact(text)) == text


@given(st.text(st.characters(codec=None)))
def test_what_is_shown_is_printable(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown  # no half of a character is left


@given(st.dictionaries(st.text(), st.recursive(st.text() | st.binary(), st.lists, max_leaves=5), max_size=4))
def test_every_event_becomes_one_printable_line(fields: dict[str, Any]) -> None:
    cleaned = clean(None, "info", {**fields, "event": "x"})
    line = json.dumps(cleaned)
    assert line.isprintable()


def test_numbers_and_truth_are_no_secrets() -> None:
    assert clean(None, "info", {"tokens_left": 3, "totp": True}) == {"tokens_left": 3, "totp": True}


def test_deep_values_end_somewhere() -> None:
    deep: Any = "x"
    for _ in range(50):
        deep = [deep]
    assert "[list]" in str(clean(None, "info", {"event": "x", "value": deep}))


def test_the_form_follows_the_terminal() -> None:
    code = (
        "from gateway.observe.logs import configure\nimport structlog\n"
        "configure()\nstructlog.get_logger().info('hello', user='ada')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stderr)["user"] == "ada"
    assert done.stdout == ""
