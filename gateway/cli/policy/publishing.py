"""``regate policy publish|status|rollback``: a bundle on its way to the cluster, and back."""

import base64
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gateway.cli import channel, output
from gateway.cli.client import Api
from gateway.cli.failures import FindingError
from gateway.cli.options import config_option, examples, format_option
from gateway.cli.policy import building, linting, repository, testing
from gateway.errors import RegateError

PUBLISH_SECONDS = 600.0  # ten thousand roles take half a minute, on a busy machine more


@click.command(
    epilog=examples(
        "regate policy publish --key=policy.key",
        "regate policy publish --bundle=dist/policy.tar.gz",
    )
)
@click.argument("folder", default=".")
@click.option("--key", metavar="FILE", default="", help="Build the repository, and sign it with this key.")
@click.option("--bundle", metavar="FILE", default="", help="Send this signed bundle as it is.")
@click.option("--shadow", is_flag=True, help="Let it decide nothing; see with: regate policy shadow")
@format_option
@config_option
def publish(folder: str, key: str, bundle: str, form: str, config: str, proxy: str, *, shadow: bool) -> None:
    """Put a policy repository in force.

    Its guards decide from then on, and its roles are stored. With --key the repository in FOLDER is linted,
    tested, built under the next number and signed first; what fails is told with file and line, and nothing
    is sent. The cluster takes only what a key of its configuration signed, under a higher number than before,
    and keeps the one before for rollback.
    """
    if bool(key) == bool(bundle):
        raise click.UsageError("give one of --key and --bundle")
    api = channel.admin(config, proxy, timeout=PUBLISH_SECONDS)
    content = Path(building.existing(bundle)).read_bytes() if bundle else _made(folder, key, api)
    sent = {"bundle": base64.b64encode(content).decode("ascii"), "shadow": shadow}
    with output.working("Publishing", _how_far(config, proxy)):
        done = api.post("/v1/policy", sent)
    _show(done, form, "asked beside the one in force" if shadow else "in force")


@click.command(epilog=examples("regate policy status"))
@format_option
@config_option
def status(form: str, config: str, proxy: str) -> None:
    """Show which policy is in force."""
    found = channel.admin(config, proxy).get("/v1/policy")

    def text() -> None:
        origin = "published" if found["published"] else "built by the cluster"
        click.echo(f"revision {found['revision']}, {origin}; data revision {found['data_revision']}")
        if found["published"]:
            before = found["previous"] or "the one built by the cluster"
            click.echo(f"rollback would go to {before}")
        if found["shadow"]:
            click.echo(f"revision {found['shadow']['revision']} is asked beside it")

    output.show(found, form, text)


@click.command(epilog=examples("regate policy rollback"))
@format_option
@config_option
def rollback(form: str, config: str, proxy: str) -> None:
    """Put the bundle before this one in force again."""
    api = channel.admin(config, proxy, timeout=PUBLISH_SECONDS)
    with output.working("Going back", _how_far(config, proxy)):
        done = api.post("/v1/policy/rollback", {})
    _show(done, form, "in force again")


def _made(folder: str, key: str, api: Api) -> bytes:
    """The repository as a signed bundle under the next number; a FindingError when a check fails."""
    here = repository.at(folder)
    found = list(linting.findings(here, regal=False))
    if found:
        raise FindingError(found[0], hint=f"{len(found)} findings; see them all with: regate policy lint")
    failed = [item for item in testing.run(here)["tests"] if item["outcome"] not in {"passed", "skipped"}]
    if failed:
        first = failed[0]
        sentence = f"{first['file']}:{first['line']}: {first['name']} {first['outcome']}"
        raise FindingError(sentence, hint="see why with: regate policy test")
    number = api.get("/v1/policy")["highest"] + 1
    with tempfile.TemporaryDirectory() as name:
        out = Path(name, "policy.tar.gz")
        building.make(here, out, number, key)
        return out.read_bytes()


def _how_far(config: str, proxy: str) -> Callable[[], str]:
    """How many of the roles the new policy has prepared, while it does; for a terminal."""
    api = channel.admin(config, proxy)

    def asked() -> str:
        try:
            done, of = api.get("/v1/policy")["preparing"]
        except (RegateError, KeyError, ValueError):
            return ""  # the publication itself says what is wrong
        return f"({done} of {of} roles prepared)" if of else ""

    return asked


def _show(done: dict[str, Any], form: str, what: str) -> None:
    def text() -> None:
        click.echo(f"revision {done['revision']} is {what}")
        for warning in done["warnings"]:
            click.echo(f"warning: {output.clean(warning)}", err=True)

    output.show(done, form, text)
