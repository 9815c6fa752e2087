"""Where the state is: what the file may say about it, and what it may not."""

from pathlib import Path

import pytest

from gateway import config_file
from gateway.errors import ConfigError
from gateway.storage import Storage, is_socket


def _load(section: str, folder: Path) -> Storage:
    text = f"version: v3\nregate: {{data_dir: data}}\nauth_service:\n  storage: {section}\n"
    return config_file.parse(text, folder / "regate.yaml").storage


def test_without_a_word_it_is_a_file_in_the_data_directory(tmp_path: Path) -> None:
    found = config_file.parse("version: v3\nregate: {data_dir: data}\n", tmp_path / "regate.yaml").storage
    assert found.url == f"sqlite:///{tmp_path}/data/regate.db"
    assert found.sealing_key == tmp_path / "data" / "keys" / "state.key"
    assert not found.is_shared


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    section = (
        "{url: 'postgresql://regate@db:5432/regate', password_file: pw, key_file: state.key,"
        " tls: {ca_cert_file: ca.pem, cert_file: c.pem, key_file: k.pem}}"
    )
    found = _load(section, tmp_path)
    assert found.password_file == tmp_path / "pw"
    assert (found.ca_file, found.cert_file, found.key_file) == (
        tmp_path / "ca.pem",
        tmp_path / "c.pem",
        tmp_path / "k.pem",
    )
    assert found.sealing_key == tmp_path / "state.key"
    assert found.tls
    assert found.is_shared


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ("{url: 'mysql://x/y'}", "storage.url: expected sqlite:///path or postgresql://"),
        ("{url: 'sqlite://'}", "expected a file behind sqlite:///"),
        ("{url: 'postgresql://a:secret@db/x'}", "expected no password in it"),
        ("{url: 'sqlite:////x', password_file: y}", "storage.password_file: expected nothing"),
        ("{url: 'postgresql://a@db/x', password_file: y, password_env: Z}", "expected one of password_file"),
        ("{url: 'postgresql://a@db/x', tls: {cert_file: y}}", "expected cert_file and key_file together"),
        ("{url: 'postgresql://a@db/x', tls: {mode: disable}}", "tls.mode: expected verify-full"),
        ("{url: 'postgresql://a@127.1/x', tls: {mode: disable}}", "expected verify-full: only localhost"),
        ("{url: 'postgresql://a@localhost.example.com/x', tls: {mode: disable}}", "expected verify-full"),
        (
            "{url: 'postgresql://a@/x?host=db&host=/run', tls: {mode: disable}}",
            "tls.mode: expected verify-full",
        ),
        (
            "{url: 'postgresql://a@/x?host=/run,db&port=1,2', tls: {mode: disable}}",
            "tls.mode: expected verify-full",
        ),
        ("{url: 'postgresql://a@127.0.0.1:x/y'}", "storage.url: expected"),
    ],
)
def test_mistakes_are_told_with_their_place(section: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        _load(section, tmp_path)
    assert sentence in str(raised.value)
    assert "regate.yaml:4" in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_only_this_host_goes_without_tls(host: str, tmp_path: Path) -> None:
    assert not _load(f"{{url: 'postgresql://a@{host}/x', tls: {{mode: disable}}}}", tmp_path).tls


@pytest.mark.parametrize(
    ("query", "is_one"),
    [("", False), ("?host=/run", True), ("?host=/run,db&port=1,2", False), ("?host=/run&host=db", False)],
)
def test_only_a_socket_by_itself_counts_as_one(query: str, *, is_one: bool) -> None:
    assert is_socket(f"postgresql://a@db/x{query}") is is_one
