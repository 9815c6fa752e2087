"""The Containerfile: what can be said of it without a container runtime, which the tests do not need."""

import re
from pathlib import Path

import yaml

from gateway.policy import install

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Containerfile").read_text()
LAST = TEXT.rpartition("\nFROM ")[2]


def pins(name: str) -> dict[str, str]:
    return dict(
        re.findall(r"^([A-Za-z0-9_.-]+(?:\[[^\]]*\])?)==(\S+)", (ROOT / name).read_text(), re.MULTILINE)
    )


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".containerignore").read_text().splitlines()
    for line in re.findall(r"^COPY (?!--from)(.+)$", TEXT, re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert f"!{source.removeprefix('./').split('/')[0]}" in ignored, source
    assert ignored[0] == "*"


def test_it_runs_without_root_under_a_number_that_the_chart_knows() -> None:
    (user,) = re.findall(r"^USER (\S+)$", LAST, re.MULTILINE)
    assert user == "10001:10001"
    chart = (ROOT / "deploy/helm/regate/templates/statefulset.yaml").read_text()
    assert "runAsUser: 10001" in chart
    assert LAST.index("USER ") < LAST.index("ENTRYPOINT")


def test_nothing_secret_and_no_shell_is_needed_to_start_it() -> None:
    assert 'ENTRYPOINT ["regate"]' in LAST
    assert 'CMD ["start", "-c", "/etc/regate/regate.yaml"]' in LAST
    assert not re.search(r"^(ARG|ENV).*(TOKEN|PASSWORD|SECRET|KEY)", TEXT, re.MULTILINE | re.IGNORECASE)


def test_its_opa_is_the_one_that_is_tested() -> None:
    assert f"open-policy-agent/opa v{install.VERSION}" in (ROOT / "opa/tools/go.mod").read_text()
    assert "COPY opa/tools/go.mod opa/tools/go.sum" in TEXT


def test_its_libraries_are_those_that_are_tested() -> None:
    runtime, tested = pins("requirements.lock"), pins("requirements-dev.lock")
    assert runtime
    assert runtime.items() <= tested.items()
    assert "--require-hashes -r requirements.lock" in TEXT
    assert "pytest" not in runtime


def test_the_versions_agree() -> None:
    chart = yaml.safe_load((ROOT / "deploy/helm/regate/Chart.yaml").read_text())
    (version,) = re.findall(r'^version = "([^"]+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert chart["appVersion"] == version
