"""``regate auth``: certificates for database servers, and the cluster's authorities."""

from pathlib import Path

import click

from gateway.cli import channel, output, private
from gateway.cli.options import config_option, duration, examples, names
from gateway.cli.rotate import rotate
from gateway.cli.server_settings import IN_ONE_FILE, SETTINGS
from gateway.errors import ConfigError

EXPORTS = ("db-client", "db", "host", "user", "audit")


@click.group()
def auth() -> None:
    """Certificates and authorities of the cluster."""


auth.add_command(rotate)


@auth.command(
    epilog=examples(
        "regate auth sign --format=db --host=localhost --out=server --ttl=2190h",
        "regate auth sign --host=db.example.com,10.0.0.5 --out=/etc/postgresql/server",
        "regate auth sign --format=mysql --host=db.example.com --out=/etc/mysql/server",
        "regate auth sign --format=mongodb --host=db.example.com --out=/etc/mongodb/server",
    )
)
@click.option(
    "--format",
    "form",
    type=click.Choice(tuple(SETTINGS)),
    default="db",
    show_default=True,
    help="db: for a database server. mysql, mongodb: the same, with what their configuration needs.",
)
@click.option("--host", type=names, required=True, help="Names and IP addresses of the server, with commas.")
@click.option("--out", required=True, metavar="PREFIX", help="Write PREFIX.crt, PREFIX.key and PREFIX.cas.")
@click.option("--ttl", type=duration, default="2190h", show_default=True, help="How long it is valid.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@config_option
def sign(form: str, host: list[str], out: str, ttl: int, config: str, proxy: str, *, overwrite: bool) -> None:
    """Sign a server certificate for a database.

    PREFIX.crt and PREFIX.key are the server's; PREFIX.cas is the authority that signs the gateway's client
    certificates (ssl_ca_file in PostgreSQL). For MongoDB PREFIX.pem holds the first two.
    """
    prefix = Path(out)
    suffixes = ("crt", "key", "cas", "pem") if form in IN_ONE_FILE else ("crt", "key", "cas")
    paths = {suffix: prefix.with_name(f"{prefix.name}.{suffix}") for suffix in suffixes}
    there = [str(path) for path in paths.values() if path.exists()]
    if there and not overwrite:
        raise ConfigError(
            f"{' and '.join(there)} would be overwritten", hint="give --overwrite or another --out"
        )
    body = {"format": "db", "hosts": host, "ttl_seconds": ttl}
    answer = channel.admin(config, proxy).post("/v1/auth/sign", body)
    for suffix, field in (("key", "key"), ("crt", "certificate"), ("cas", "client_ca")):
        private.write(paths[suffix], answer[field].encode("ascii"))
    if "pem" in paths:
        private.write(paths["pem"], (answer["certificate"] + answer["key"]).encode("ascii"))
    for suffix in ("crt", "cas"):
        paths[suffix].chmod(0o644)
    click.echo(f"The certificate for {', '.join(map(output.clean, host))} is written:")
    for path in paths.values():
        click.echo(f"  {path}")
    click.echo("\n" + "\n".join(SETTINGS[form](paths)))
    click.echo("\nThe server's user must own the key file. regate doctor --db=NAME checks all of it.")


@auth.command(
    epilog=examples(
        "regate auth export --type=db-client > db-client-ca.pem",
        "regate auth export --type=host",
        "regate auth export --type=audit > audit.pem",
    )
)
@click.option(
    "--type",
    "kind",
    type=click.Choice(EXPORTS),
    required=True,
    help="Which authority; audit: the public key of the audit log.",
)
@config_option
def export(kind: str, config: str, proxy: str) -> None:
    """Print the certificate of one of the cluster's authorities, or the audit log's public key.

    While an authority is being replaced, both certificates are printed: whoever trusts it must trust both.
    """
    answer = channel.admin(config, proxy).get("/v1/auth/export", {"type": kind})
    click.echo(str(answer["pem"]).rstrip("\n"))
