"""The executable itself: quick, helpful, quiet about its insides, and in step with its documentation."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gateway.cli import reference
from gateway.cli.lazy import LazyGroup
from tests.cli.conftest import REGATE, Person

ROOT = Path(__file__).resolve().parents[2]


def test_help_is_quick() -> None:
    took = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([REGATE, "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took) < 0.4  # of the processor: it waits for nothing else


def test_help_imports_nothing_heavy() -> None:
    heavy = ("cryptography", "jsonschema", "sqlglot", "aiohttp", "sqlalchemy", "yaml", "rich")
    code = (
        "import sys; from gateway.cli import main; main.run(['--help']); "
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_no_codec_is_imported_before_a_tunnel_is_open() -> None:
    """They bring a parser of SQL with them, which takes longer than all that the other commands do."""
    code = (
        "import sys; from gateway.cli import db, holds, login, proxy, resources, users; "
        "print('gateway.classify' in sys.modules, 'gateway.protocols' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"


def test_the_short_help_of_each_command_is_its_own() -> None:
    groups = [command for command in reference.commands() if isinstance(command, LazyGroup)]
    assert {group.name for group in groups} >= {"cli", "policy"}
    for group in groups:
        for name, (_, about) in group.known.items():
            command = group.get_command(click.Context(group), name)
            assert command is not None
            assert (command.help or "").splitlines()[0] == about, name


def test_the_reference_is_in_step_with_help() -> None:
    written = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert written == reference.page(), "run: python -m gateway.cli.reference > docs/reference/cli.md"


def test_each_command_that_does_something_has_examples() -> None:
    for command in reference.commands():
        if not isinstance(command, click.Group):
            assert "Examples:" in (command.epilog or ""), command.name


def test_each_option_says_what_it_is_for() -> None:
    for command in reference.commands():
        for item in command.params:
            if isinstance(item, click.Option):
                assert item.help, (command.name, item.opts)


def test_the_documented_exit_codes_are_those_of_the_errors() -> None:
    import inspect  # noqa: PLC0415

    from gateway import errors  # noqa: PLC0415
    from gateway.cli import failures  # noqa: PLC0415

    written = (ROOT / "docs" / "cli.md").read_text()
    classes = [
        item for module in (errors, failures) for _, item in inspect.getmembers(module, inspect.isclass)
    ]
    for code in {item.exit_code for item in classes if issubclass(item, errors.RegateError)} | {0, 130, 141}:
        assert f"| {code} |" in written, code


@pytest.mark.parametrize(
    ("arguments", "words"), [(("stauts",), "Did you mean 'status'"), (("users", "ad"), "No such")]
)
def test_a_misspelt_command_comes_with_a_hint(person: Person, arguments: tuple[str, ...], words: str) -> None:
    done = person.run(*arguments)
    assert done.code == 2
    assert words in done.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands(person: Person, shell: str) -> None:
    script = person.ok("completion", shell)
    assert "_REGATE_COMPLETE" in script
    environment = person.environment | {
        "_REGATE_COMPLETE": "bash_complete",
        "COMP_WORDS": "regate users a",
        "COMP_CWORD": "2",
    }
    done = subprocess.run([REGATE], env=environment, capture_output=True, text=True, check=False)
    assert "plain,add" in done.stdout


def test_an_unexpected_error_is_one_sentence_unless_debugging(person: Person) -> None:
    code = (
        "import sys, click; from gateway.cli import main; "
        "main.cli.get_command = lambda *_: click.Command('boom', callback=lambda: 1/0); "
        "sys.exit(main.run(sys.argv[1:]))"
    )
    quiet = subprocess.run(
        [sys.executable, "-c", code, "version"], capture_output=True, text=True, check=False
    )
    assert quiet.returncode == 1
    assert (
        quiet.stderr == "error: unexpected ZeroDivisionError\n  hint: run it again with: regate --debug …\n"
    )
    loud = subprocess.run(
        [sys.executable, "-c", code, "--debug", "version"], capture_output=True, text=True, check=False
    )
    assert "Traceback" in loud.stderr


def test_a_reader_that_goes_away_is_no_error(person: Person) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        done = subprocess.run(
            [REGATE, "--help"],
            env=person.environment,
            stdout=gone,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 141
    assert done.stderr == ""


def test_an_interrupt_ends_quietly(person: Person) -> None:
    import socket  # noqa: PLC0415

    # Whatever a shell starts in the background ignores interrupts, and so would what the test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    command: list[str | Path] = [
        REGATE,
        "login",
        f"--proxy=localhost:{port}",
        "--user=x",
        f"--ca-pin=sha256:{'0' * 64}",
    ]
    running = subprocess.Popen(
        command, env=person.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    accepted, _ = listening.accept()
    assert (
        accepted.recv(1) == b"\x16"
    )  # it has begun to speak; before, the signal may meet a connect half made
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    accepted.close()
    listening.close()
    assert running.returncode == 130
    assert "Traceback" not in said


def test_nothing_is_coloured_when_it_is_not_a_terminal(person: Person) -> None:
    for arguments in (("--help",), ("status",), ("version",), ("doctor",)):
        done = person.run(*arguments)
        assert "\x1b" not in done.out + done.err


def test_what_other_people_named_cannot_steer_the_terminal() -> None:
    from gateway.cli import output  # noqa: PLC0415

    assert output.clean("a\x1b[2Jb\u202ec\n") == "a\\x1b[2Jb\\u202ec\\n"
