"""``regate configure``: a configuration file that works as it is, with a comment on each setting."""

import socket
from pathlib import Path

import click

from gateway.cli.options import examples
from gateway.cli.target import HELP, path_of, quoted, write_new

_TEMPLATE = """\
# Regate's configuration: auth, proxy and database service in one process.
# Start it with: regate start -c {path}
version: v3

regate:
  # Keys, accounts and (unless audit.dir says otherwise) the audit log. Only its owner may read it.
  data_dir: {data_dir}
  # The name in every certificate; it cannot change afterwards.
  cluster_name: {cluster_name}
  # Health and metrics in plain HTTP, for monitoring on this host.
  # diag_addr: 127.0.0.1:3000
  log:
    severity: INFO        # DEBUG, INFO, WARN, ERROR
    output: stderr        # stderr, stdout or a file

auth_service:
  enabled: yes

proxy_service:
  enabled: yes
  # The one public port: the API and every database protocol.
  listen_addr: {listen_addr}
  # How clients reach it; these names stand in its certificate. The first is shown to people.
  public_addr:
{public_addr}

db_service:
  enabled: yes
  # Databases may stand here, or be added while it runs: regate create db.yaml
  databases: []
  # - name: my-postgres
  #   description: Production PostgreSQL
  #   protocol: postgres
  #   uri: postgres.example.com:5432
  #   static_labels:
  #     env: production
  #   tls:
  #     # Needed when the server's certificate is not from: regate auth sign --format=db
  #     ca_cert_file: /etc/regate/postgres-ca.pem
  #     server_name: postgres.example.com

# Your own Rego beside the shipped policies.
# policy:
#   dir: /etc/regate/policies

# The OPA to run; without it, one is found on the PATH or installed.
# opa:
#   path: /usr/local/bin/opa

# audit:
#   dir: /var/log/regate
"""


@click.command(
    epilog=examples(
        "regate configure --output=file:///etc/regate.yaml",
        "regate configure --output=stdout --cluster-name=example --public-addr=gate.example.com:3080",
        "regate configure --output=./regate.yaml --data-dir=./data --listen-addr=127.0.0.1:3080",
    )
)
@click.option(
    "-o",
    "--output",
    "target",
    default="file:///etc/regate.yaml",
    show_default=True,
    metavar=HELP,
    help="Where to write it.",
)
@click.option("--cluster-name", default="", help="[default: this host's name]")
@click.option("--data-dir", default="/var/lib/regate", show_default=True, help="Where keys and state live.")
@click.option("--listen-addr", default="0.0.0.0:3080", show_default=True, help="The public port.")
@click.option(
    "--public-addr",
    multiple=True,
    metavar="HOST:PORT",
    help="How clients reach it; may be given more than once. [default: this host's name and localhost]",
)
def configure(
    target: str, cluster_name: str, data_dir: str, listen_addr: str, public_addr: tuple[str, ...]
) -> None:
    """Write a configuration file for all three services."""
    from gateway import address, config, config_file  # noqa: PLC0415 # keeps regate --help quick

    path = path_of(target)
    host = socket.gethostname()
    listen = address.parse(listen_addr)
    public = public_addr or tuple(f"{name}:{listen.port}" for name in dict.fromkeys((host, "localhost")))
    text = _TEMPLATE.format(
        path=path or config.DEFAULT_PATH,
        data_dir=quoted(str(Path(data_dir).absolute()) if path else data_dir),
        cluster_name=quoted(cluster_name or host),
        listen_addr=quoted(listen_addr),
        public_addr="\n".join(f"    - {quoted(item)}" for item in public),
    )
    config_file.parse(text, path or Path("regate.yaml"))  # what it writes must load
    if path is None:
        click.echo(text, nl=False)
        return
    write_new(path, text)
    click.echo(f"A configuration is written to {path}. Next:\n  regate start -c {path}")
