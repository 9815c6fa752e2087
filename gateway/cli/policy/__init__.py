"""``regate policy``: access rules as code; one module for each command."""

import click

from gateway.cli.lazy import LazyGroup

# name -> (module below gateway.cli : command, the first line of its help), as in gateway.cli.main.
COMMANDS: dict[str, tuple[str, str]] = {
    # A policy repository, from its first file to the cluster.
    "init": (
        "policy.init:init",
        "Write a policy repository: roles, a guard, tests, data for them, a CI workflow.",
    ),
    "test": ("policy.testing:test", "Run the tests of a policy repository."),
    "lint": ("policy.linting:lint", "Look for mistakes in roles and Rego."),
    "fmt": ("policy.linting:fmt", "Bring the Rego of a policy repository into the one form that there is."),
    "keygen": ("policy.building:keygen", "Make a key for signing bundles."),
    "build": ("policy.building:build", "Build a bundle of the library, the team's guards and the roles."),
    "sign": ("policy.building:sign", "Sign a bundle, in its place."),
    "publish": ("policy.publishing:publish", "Put a policy repository in force."),
    "status": ("policy.publishing:status", "Show which policy is in force."),
    "rollback": ("policy.publishing:rollback", "Put the bundle before this one in force again."),
    "shadow": ("policy.shadowing:shadow", "Show where the policy on trial would have decided otherwise."),
    "verify": ("policy.building:verify", "Check a bundle as a cluster would before it takes effect."),
    # What policies and statements mean: nothing here changes anything.
    "facts": ("policy.facts:facts", "Print what the classifier finds in a statement."),
    "corpus": ("policy.corpus:corpus", "Judge a corpus, and print what came out otherwise than it must."),
    "diff": ("policy.diff:diff", "Print who gains and who loses what between two versions of the policies."),
    "who-can": ("policy.who_can:who_can", "List who may do something on a database."),
    "what-can": ("policy.what_can:what_can", "List what a user may do."),
    "simulate": ("policy.simulate:simulate", "Say what a statement would get, and why."),
    "explain": ("policy.explain:explain", "Say why a decision fell as it did, and what would change it."),
    "replay": ("policy.replay:replay", "Judge recorded decisions again, by other policies."),
    "check": ("policy.check:check", "Check resources, templates, and names that nothing can match."),
}


@click.group(cls=LazyGroup, known=COMMANDS)
def policy() -> None:
    """Access rules as code: understand, test and compare them."""
