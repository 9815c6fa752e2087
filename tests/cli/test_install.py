"""``regate install systemd``: the unit is valid, has few rights, and the account gets what it needs."""

import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway import config_file
from gateway.cli.systemd import Unit
from tests.cli.conftest import Person

AGENT = """\
version: v3
regate: {{data_dir: {data}, proxy_server: 'p:1', auth_token: {token}}}
auth_service: {{enabled: no}}
proxy_service: {{enabled: no}}
"""
WHOLE = "version: v3\nproxy_service: {listen_addr: '0.0.0.0:443'}\n"
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="accounts are root's to change")


def unit(text: str, path: Path = Path("/etc/regate.yaml")) -> str:
    return Unit(config_file.parse(text, path), Path("/usr/bin/regate"), "regate").text()


def settings(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^([A-Za-z]+)=(.*)$", text, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def test_a_token_in_the_temporary_folder_is_still_seen() -> None:
    known = settings(unit(AGENT.format(data="/var/lib/regate", token="/tmp/token")))
    assert known["PrivateTmp"] == ["yes"]
    assert known["BindReadOnlyPaths"] == ["-/tmp/token"]
    assert known["StateDirectory"] == ["regate"]
    assert "BindReadOnlyPaths" not in settings(unit(AGENT.format(data="/srv/x", token="/etc/token")))


def test_only_a_low_port_needs_a_right() -> None:
    assert settings(unit("version: v3\n"))["AmbientCapabilities"] == [""]
    low = settings(unit(WHOLE))
    assert low["AmbientCapabilities"] == low["CapabilityBoundingSet"] == ["CAP_NET_BIND_SERVICE"]
    assert "PrivateUsers" not in low


def test_it_writes_where_the_file_says_and_nowhere_else() -> None:
    text = (
        "version: v3\nregate: {data_dir: /srv/keys, log: {output: /var/log/regate/log}}\n"
        "audit: {dir: /srv/log}\n"
    )
    known = settings(unit(text))
    assert known["ReadWritePaths"] == ["/srv/keys", "/srv/log", "/var/log/regate"]
    assert known["ProtectSystem"] == ["strict"]
    assert "StateDirectory" not in known


def test_folders_of_people_are_seen_only_where_they_are_used() -> None:
    assert settings(unit("version: v3\n"))["ProtectHome"] == ["yes"]
    assert settings(unit("version: v3\n", Path("/home/ada/regate.yaml")))["ProtectHome"] == ["read-only"]


def test_a_percent_sign_or_a_blank_in_a_path_stays_what_it_is() -> None:
    known = settings(unit("version: v3\n", Path("/etc/my 100%/regate.yaml")))
    assert known["ExecStart"] == ['/usr/bin/regate start -c "/etc/my 100%%/regate.yaml"']


@needs_systemd
@pytest.mark.parametrize("text", [AGENT.format(data="/var/lib/regate", token="/tmp/token"), WHOLE])
def test_systemd_understands_the_unit_and_finds_it_safe(text: str, tmp_path: Path) -> None:
    written = tmp_path / "regate.service"
    # Its own programs are not checked for here: neither they nor the account are on this machine.
    written.write_text(unit(text).replace("/usr/bin/regate", "/bin/true"))
    verify = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", written],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (verify.returncode, verify.stderr) == (0, "")
    security = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", written],
        capture_output=True,
        text=True,
        check=False,
    )
    assert security.returncode == 0, security.stdout


@needs_systemd
def test_the_check_above_can_fail(tmp_path: Path) -> None:
    written = tmp_path / "regate.service"
    written.write_text(
        unit(WHOLE).replace("/usr/bin/regate", "/bin/true").replace("ProtectHome=", "ProtctHome=")
    )
    verify = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", written],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ProtctHome" in verify.stderr


def test_standard_output_changes_nothing(person: Person) -> None:
    (person.home / "regate.yaml").write_text("version: v3\n")
    said = person.ok("install", "systemd", "-c", "regate.yaml", "--output=stdout")
    assert f"start -c {person.home}/regate.yaml\n" in said
    assert [path.name for path in person.home.iterdir()] == ["regate.yaml"]


def test_a_file_with_a_mistake_installs_nothing(person: Person) -> None:
    (person.home / "regate.yaml").write_text("version: v3\nproxy: {}\n")
    refused = person.run("install", "systemd", "-c", "regate.yaml", "--output=unit.service")
    assert (refused.code, "regate.yaml:2: proxy: unknown field" in refused.err) == (2, True)
    assert not (person.home / "unit.service").exists()


@needs_root
def test_the_account_gets_the_data_directory_and_the_token(person: Person) -> None:
    data, token, place = person.home / "data", person.home / "token", person.home / "gate.service"
    token.write_text("secret\n")
    (person.home / "regate.yaml").write_text(AGENT.format(data=data, token=token))
    arguments = ("install", "systemd", "-c", "regate.yaml", "--user=nobody", f"--output={place}")
    assert "systemctl enable --now gate" in person.ok(*arguments)
    nobody = pwd.getpwnam("nobody").pw_uid
    for path, mode in ((data, 0o700), (token, 0o600)):
        assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (nobody, mode)
    assert f"ReadWritePaths={data}\n" in place.read_text()
    person.ok(*arguments)  # once more is no mistake


@needs_root
def test_a_data_directory_of_somebody_else_is_left_alone(person: Person) -> None:
    data, place = person.home / "data", person.home / "gate.service"
    data.mkdir()
    (data / "keys").touch()
    (person.home / "regate.yaml").write_text(AGENT.format(data=data, token="/nowhere/token"))
    refused = person.run("install", "systemd", "-c", "regate.yaml", "--user=nobody", f"--output={place}")
    assert refused.code == 2
    assert "belongs to another account" in refused.err
    assert "chown -R nobody:" in refused.err
    assert not place.exists()


@needs_root
def test_a_link_is_not_followed(person: Person) -> None:
    token, target = person.home / "token", person.home / "target"
    target.touch()
    token.symlink_to(target)
    (person.home / "regate.yaml").write_text(AGENT.format(data=person.home / "data", token=token))
    refused = person.run("install", "systemd", "-c", "regate.yaml", "--user=nobody", "--output=x.service")
    assert refused.code == 2
    assert target.stat().st_uid == os.geteuid()
