"""``regate bots`` and ``regate bot``: from a token to an identity that others use, and that is renewed."""

import json
import re
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.cli import machine, private
from gateway.cli.failures import LoginNeededError, TrustError, UnreachableError
from gateway.cli.machine import Held, Machine
from gateway.clock import SystemClock, utc
from gateway.errors import AccessError, ConfigError, RegateError
from tests.api.rig import Rig
from tests.ca.material import NOW
from tests.cli.conftest import REGATE, Person, trust

TOKEN = re.compile(r"^  ([0-9a-f]{64})$", re.MULTILINE)


def added(admin: Person, name: str) -> str:
    """A new bot's token."""
    (token,) = TOKEN.findall(admin.ok("bots", "add", name, "--roles=access", f"--db-users={name}"))
    return str(token)


def start(rig: Rig, out: str = "bot") -> tuple[str, ...]:
    return ("bot", "start", *trust(rig), f"--out={out}", "--oneshot")


def test_a_machine_joins_once_and_other_commands_are_it(rig: Rig, admin: Person, person: Person) -> None:
    said = admin.ok("bots", "add", "ci", "--roles=access", "--db-users=ci")
    (token,) = TOKEN.findall(said)
    assert f"regate bot start --proxy={rig.proxy} --ca-pin={rig.pin} --token-file=FILE --out=DIR" in said
    (person.home / "token").write_text(token + "\n")
    done = person.run(*start(rig), "--token-file=token")
    assert (done.code, "ci has a certificate until" in done.err) == (0, True)
    home = person.home / "bot"
    for path in (home, *home.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    used = {"REGATE_HOME": str(home)}
    status = json.loads(person.ok("status", "--format=json", **used))
    left = datetime.fromisoformat(status["valid_until"]) - utc(SystemClock())
    assert (status["user"], status["roles"]) == ("ci", ["access"])
    assert timedelta(minutes=58) < left <= timedelta(hours=1)
    person.ok("db", "ls", **used)
    again = person.run(*start(rig, "elsewhere"), "--token-file=token")
    assert (again.code, "was used already" in again.err) == (3, True)
    assert "--type=bot --bot=NAME" in again.err
    everything = done.err + again.err + admin.ok("audit", "ls", "--format=json") + admin.ok("bots", "ls")
    assert token not in everything + "".join(path.read_text() for path in home.rglob("*") if path.is_file())


def test_renewing_needs_no_token_and_leaves_certificates_for_databases(
    rig: Rig, admin: Person, person: Person
) -> None:
    admin.ok(
        "create",
        "-",
        stdin="kind: db\nversion: v3\nmetadata: {name: one}\nspec: {protocol: postgres, uri: 'h:1'}\n",
    )
    person.ok(*start(rig), "--token-file=-", stdin=added(admin, "renewing") + "\n")
    used = {"REGATE_HOME": str(person.home / "bot")}
    person.ok("db", "login", "--db-user=renewing", "--db-name=d", "one", **used)
    (identity,) = (person.home / "bot").rglob("identity.pem")
    before = identity.read_bytes()
    person.ok("bot", "start", f"--proxy={rig.proxy}", "--out=bot", "--oneshot")
    assert identity.read_bytes() != before
    databases = json.loads(person.ok("status", "--format=json", **used))["databases"]
    assert [item["name"] for item in databases] == ["one"]
    assert re.search(r"^renewing +access +20.* UTC$", admin.ok("bots", "ls"), re.MULTILINE)


def test_a_copied_folder_locks_the_bot(rig: Rig, admin: Person, tmp_path: Path) -> None:
    token = added(admin, "copied")
    own, copy = (
        Machine(tmp_path / name, rig.proxy, lambda: utc(SystemClock()), lambda: token, pin=rig.pin)
        for name in ("own", "copy")
    )
    own.refresh()
    shutil.copytree(own.out, copy.out)
    own.refresh()
    with pytest.raises(AccessError, match="was copied") as refused:
        copy.refresh()
    assert refused.value.code == "bot_copied"
    locked = [lock.document["spec"]["target"] for lock in rig.wait(lambda: rig.store.list("lock"))]
    assert {"user": "copied"} in locked


def test_a_bot_is_no_person_and_is_removed(rig: Rig, admin: Person) -> None:
    added(admin, "gone")
    refused = admin.run("users", "reset", "gone")
    assert (refused.code, "is a bot" in refused.err) == (2, True)
    assert re.search(r"^gone +access +bot$", admin.ok("users", "ls"), re.MULTILINE)
    assert re.search(r"bot \(gone\)", admin.ok("tokens", "ls"))
    assert admin.ok("bots", "rm", "gone") == 'Bot "gone" has been removed\n'
    assert "gone" not in admin.ok("bots", "ls") + admin.ok("tokens", "ls")


def test_it_runs_until_sigterm_and_alone(rig: Rig, admin: Person, person: Person) -> None:
    (person.home / "token").write_text(added(admin, "running"))
    words = [str(REGATE), *start(rig)[:-1], "--token-file=token"]
    with subprocess.Popen(
        words, env=person.environment, cwd=person.home, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert "running has a certificate until" in line
            second = person.run(*start(rig))
            assert (second.code, "another regate bot works in" in second.err) == (2, True)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()


def test_without_an_identity_and_a_token_it_says_what_is_missing(rig: Rig, person: Person) -> None:
    refused = person.run(*start(rig))
    assert (refused.code, "there is no identity in bot" in refused.err) == (2, True)
    assert "--token-file" in refused.err
    refused = person.run("bot", "start", *trust(rig), "--out=bot", "--certificate-ttl=2h")
    assert (refused.code, "good for 1h at most" in refused.err) == (2, True)


def test_an_answer_that_was_lost_is_no_copy(
    rig: Rig, admin: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = added(admin, "unlucky")
    one = Machine(tmp_path / "out", rig.proxy, lambda: utc(SystemClock()), lambda: token, pin=rig.pin)
    one.refresh()

    def lose(*_: object) -> Held:
        raise UnreachableError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(machine, "_saved", lose)
        for _ in range(2):
            with pytest.raises(UnreachableError):
                one.refresh()
    assert one.refresh().user == "unlucky"
    assert one.refresh().user == "unlucky"
    assert "bot-unlucky" not in admin.ok("get", "locks")


def test_a_key_that_was_certified_is_not_used_for_the_next(
    rig: Rig, admin: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = added(admin, "interrupted")
    one = Machine(tmp_path / "out", rig.proxy, lambda: utc(SystemClock()), lambda: token, pin=rig.pin)
    one.refresh()
    with monkeypatch.context() as patched:  # ended between the two: the key stays beside what it is in
        patched.setattr(private, "remove", lambda _path: None)
        one.refresh()
    assert list((tmp_path / "out").rglob("next-key.pem"))
    one.refresh()
    assert not list((tmp_path / "out").rglob("next-key.pem"))


@dataclass(frozen=True)
class Told(Machine):
    """A machine that is told what comes of each attempt."""

    coming: Iterator[RegateError | timedelta] = field(default=iter(()))
    holds: list[datetime] = field(default_factory=list)

    def has_identity(self) -> bool:
        return bool(self.holds) and self.now() < self.holds[-1]

    def refresh(self) -> Held:
        match next(self.coming):
            case timedelta() as life:
                self.holds.append(self.now() + life)
                return Held("ci", (), self.holds[-1])
            case error:
                raise error


@dataclass
class Time:
    """What passes while the machine waits; it is told to end after *most* waits."""

    most: int
    now: datetime = NOW
    waits: list[float] = field(default_factory=list)

    def pause(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += timedelta(seconds=seconds)
        return len(self.waits) == self.most


def kept(time: Time, *coming: RegateError | timedelta, chance: float = 0.0) -> list[str]:
    said: list[str] = []
    told = Told(Path("/nowhere"), None, lambda: time.now, str, coming=iter(coming))  # type: ignore[arg-type] # dials nobody
    machine.keep(told, time.pause, said.append, lambda: chance)
    return said


HOUR = timedelta(hours=1)
AWAY = UnreachableError("cannot reach gate:3080")


@pytest.mark.parametrize(("chance", "wait"), [(0.0, 1800.0), (0.5, 2100.0), (0.999999, 2400.0)])
def test_it_renews_between_half_and_two_thirds_of_the_life(chance: float, wait: float) -> None:
    time = Time(2)
    kept(time, HOUR, HOUR, chance=chance)
    assert time.waits == pytest.approx([wait, wait], abs=0.1)


def test_while_nobody_answers_it_tries_ever_more_seldom_and_says_so() -> None:
    time = Time(10)
    said = kept(time, HOUR, *[AWAY] * 8, HOUR, chance=1.0)
    assert time.waits[1:9] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert time.waits[9] > 1800
    assert said[1] == "cannot reach gate:3080; trying again in 1 seconds"


def test_it_ends_with_its_certificate() -> None:
    with pytest.raises(ConfigError, match="has ended before it was renewed"):
        kept(Time(100), timedelta(minutes=2), *[AWAY] * 99)


PASSING = [
    RegateError("the audit log cannot be written"),
    AccessError("slowly", code="rate_limited"),
    LoginNeededError("closed the connection"),
]
LASTING = [
    AccessError("locked", code="locked"),
    AccessError("copied", code="bot_copied"),
    TrustError("another authority"),
    ConfigError("no token"),
]


@pytest.mark.parametrize("error", PASSING)
def test_what_passes_is_waited_for(error: RegateError) -> None:
    time = Time(3)
    kept(time, HOUR, error, HOUR)
    assert len(time.waits) == 3


@pytest.mark.parametrize("error", LASTING)
def test_what_does_not_pass_ends_it(error: RegateError) -> None:
    with pytest.raises(type(error)):
        kept(Time(3), HOUR, error)


def test_who_is_refused_before_there_is_an_identity_is_not_waiting() -> None:
    with pytest.raises(LoginNeededError):
        kept(Time(3), LoginNeededError("no login"))
