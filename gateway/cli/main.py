"""The ``regate`` executable: a tree of commands that are imported only when they run."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from gateway.cli.lazy import LazyGroup
from gateway.cli.options import examples
from gateway.errors import RegateError

VERSION_HELP = "Print the version."

# name -> (module below gateway.cli : command, the first line of its help). The line stands here too, so that
# `regate --help` needs no import; a test compares the two.
COMMANDS: dict[str, tuple[str, str]] = {
    "configure": ("configure:configure", "Write a configuration file for all three services."),
    "start": ("start:start", "Run the services that a configuration file enables."),
    "auth": ("auth:auth", "Certificates and authorities of the cluster."),
    "create": ("resources:create", "Store the resources of a YAML file."),
    "get": ("resources:get", "Print stored resources."),
    "edit": ("resources:edit", "Change a stored resource in an editor."),
    "rm": ("resources:rm", "Remove a stored resource."),
    "users": ("users:users", "Accounts of people."),
    "bots": ("bots:bots", "Accounts of machines."),
    "tokens": ("tokens:tokens", "Tokens with which services on other hosts join."),
    "install": ("install:install", "Make the services start with this host."),
    "login": ("login:login", "Log in to a cluster and get a certificate of hours."),
    "logout": ("login:logout", "Remove the login and every database certificate from this machine."),
    "status": ("login:status", "Show who you are logged in as, and until when."),
    "bot": ("bot:bot", "A machine's own identity, kept fresh."),
    "db": ("db:db", "Databases you may reach, and how to connect."),
    "proxy": ("proxy:proxy", "A local port for clients that cannot do certificates."),
    "policy": ("policy:policy", "Access rules as code: understand, test and compare them."),
    "holds": ("holds:holds", "Statements that wait for a second person."),
    "audit": ("audit:audit", "Read and verify the audit log."),
    "backup": ("backup:backup", "Back up the cluster's state and keys, encrypted with a passphrase."),
    "restore": (
        "backup:restore",
        "Put a backup of state and keys in the place that the configuration names.",
    ),
    "doctor": ("doctor:doctor", "Find out what is wrong, and what to do about it."),
    "completion": ("completion:completion", "Print the completion script for a shell."),
    "version": ("version:version", VERSION_HELP),
}


@click.group(
    cls=LazyGroup,
    known=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "regate login --proxy=gate.example.com:3080 --user=alice",
        "regate db ls",
        "regate db connect --db-user=alice --db-name=mydb my-postgres",
    ),
)
@click.option("--debug", is_flag=True, help="Show where an unexpected error came from.")
@click.version_option(
    None, "--version", package_name="regate", message="regate %(version)s", help=VERSION_HELP
)
@click.pass_context
def cli(ctx: click.Context, *, debug: bool) -> None:
    """Reach databases through a gateway whose every yes and no is written in Rego."""
    ctx.ensure_object(dict)["debug"] = debug


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code; a failure is a sentence, never a trace."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code."""
    shared: dict[str, Any] = {}
    try:
        code = cli.main(args=list(arguments), prog_name="regate", standalone_mode=False, obj=shared)
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except RegateError as error:
        _say(str(error), error.hint)
        return error.exit_code
    except (BrokenPipeError, SystemExit):
        # The reader of a pipe went away (`regate audit ls | head`): no more can be said to it. Click turns
        # some of these into a SystemExit, and raises none of its own here.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:  # the one outermost place of this process
        if shared.get("debug"):
            raise
        if isinstance(error, OSError) and error.errno and isinstance(error.filename, str):
            _say(f"cannot use {error.filename}: {os.strerror(error.errno).lower()}", "")
            return 1
        _say(f"unexpected {type(error).__name__}", "run it again with: regate --debug …")
        return 1
    return code if isinstance(code, int) else 0


def _say(sentence: str, hint: str) -> None:
    color = "red" if sys.stderr.isatty() and "NO_COLOR" not in os.environ else None
    click.echo(click.style("error: ", fg=color, bold=bool(color)) + sentence, err=True)
    if hint:
        click.echo(f"  hint: {hint}", err=True)
