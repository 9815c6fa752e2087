"""``regate policy shadow``: where the policy on trial would have decided otherwise."""

from collections.abc import Mapping
from typing import Any

import click

from gateway.audit.read import OWN
from gateway.cli import channel, output
from gateway.cli.options import config_option, examples, format_option
from gateway.errors import NotFoundError


@click.command(epilog=examples("regate policy shadow", "regate policy shadow --stop"))
@click.option("--stop", is_flag=True, help="Ask it no more.")
@format_option
@config_option
def shadow(form: str, config: str, proxy: str, *, stop: bool) -> None:
    """Show where the policy on trial would have decided otherwise.

    It is put on trial with regate policy publish --shadow, gets the questions of this service's sessions,
    and decides none of them. Each difference is told once, and stands in the audit log.
    """
    api = channel.admin(config, proxy)
    if stop:
        if not api.delete("/v1/policy/shadow")["stopped"]:
            raise NotFoundError("no policy is on trial")
        click.echo("stopped")
        return
    status = api.get("/v1/policy")["shadow"]
    if status is None:
        raise NotFoundError(
            "no policy is on trial", hint="begin with: regate policy publish --shadow --key=…"
        )
    found = [
        record["fields"]
        for record in api.lines("/v1/audit", {"kind": "policy.shadow", "order": "oldest", "origin": OWN})
        if record["fields"].get("shadow_revision") == status["revision"]
    ]

    def text() -> None:
        click.echo(
            f"revision {status['revision']}: asked {status['asked']}, differed {status['differed']}, "
            f"not answered {status['unanswered']}, let go {status['dropped']}"
        )
        if found:
            output.table(
                ("User", "Database", "In force", "On trial", "Because", "Decision"), map(_row, found)
            )

    output.show({**status, "differences": found}, form, text)


def _row(fields: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        fields["user"],
        fields["database"],
        fields["verdict"],
        fields["shadow_verdict"],
        ", ".join(fields["shadow_reasons"]),
        fields["decision_id"],
    )
