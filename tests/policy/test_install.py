from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.policy import install
from gateway.schema import data_dir


def _program(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def _bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGATE_OPA", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_named_opa_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path / "bin" / "opa", "Version: 1.17.1")
    named = _program(tmp_path / "mine", "Version: 2.0.0")
    monkeypatch.setenv("REGATE_OPA", str(named))
    assert install.find_opa() == named


@pytest.mark.parametrize("says", ["Version: 1.16.9", "Version: 0.70.0", "hello", ""])
def test_a_named_opa_that_is_too_old_or_none_is_told(
    says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGATE_OPA", str(_program(tmp_path / "mine", says)))
    with pytest.raises(ConfigError, match="REGATE_OPA"):
        install.find_opa()


def test_a_named_opa_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGATE_OPA", str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match="missing"):
        install.find_opa()


def test_one_on_path_counts_when_it_is_new_enough(tmp_path: Path) -> None:
    assert install.find_opa() is None
    on_path = _program(tmp_path / "bin" / "opa", "Version: 1.9.0")
    assert install.find_opa() is None
    _program(on_path, "Version: 1.18.0")
    assert install.find_opa() == on_path


def test_the_cache_is_looked_in_last(tmp_path: Path) -> None:
    cached = _program(install.cache() / "opa", f"Version: {install.VERSION}")
    assert install.find_opa() == cached
    on_path = _program(tmp_path / "bin" / "opa", f"Version: {install.VERSION}")
    assert install.find_opa() == on_path


def test_go_builds_it_when_nothing_else_has_it(tmp_path: Path) -> None:
    """With a stand-in for Go that writes the program where it was told to."""
    go = tmp_path / "bin" / "go"
    go.parent.mkdir(parents=True)
    go.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = version ]; then echo "go version go1.26.8 linux/amd64"; exit; fi\n'
        "test -f go.mod || exit 9\n"
        'while [ "$1" != -o ]; do shift; done\n'
        f'printf \'#!/bin/sh\\necho Version: {install.VERSION}\\n\' >"$2"; chmod 755 "$2"\n'
    )
    go.chmod(0o755)
    built = install.ensure_opa()
    assert built == install.cache() / "opa"
    assert install.find_opa() == built
    go.unlink()
    assert install.ensure_opa() == built


def test_a_build_that_fails_says_what_to_do(tmp_path: Path) -> None:
    go = tmp_path / "bin" / "go"
    go.parent.mkdir(parents=True)
    go.write_text('#!/bin/sh\n[ "$1" = version ] && echo go1.26.8 && exit\necho no network >&2\nexit 1\n')
    go.chmod(0o755)
    with pytest.raises(ConfigError, match="no network") as caught:
        install.ensure_opa()
    assert "REGATE_OPA" in caught.value.hint


def test_the_pinned_versions_are_those_of_the_build_file() -> None:
    text = (data_dir("opa") / "tools" / "go.mod").read_text()
    assert f"github.com/open-policy-agent/opa v{install.VERSION}" in text
    assert f"github.com/open-policy-agent/regal v{install.REGAL_VERSION}" in text
