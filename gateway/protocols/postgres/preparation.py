"""What PostgreSQL needs: lines for postgresql.conf and pg_hba.conf, and what its words mean."""

from typing import Final

from gateway.sansio.preparation import CAS, Preparation

_NO_PASSWORD = "the first matching line in pg_hba.conf asks for a password: put the hostssl line above it"  # noqa: S105 -- a sentence

PREPARATION: Final = Preparation(
    lines=(
        "postgresql.conf:\n"
        "  ssl = on\n"
        "  ssl_cert_file = 'server.crt'      # regate auth sign --format=db --host=NAME --out=server\n"
        "  ssl_key_file = 'server.key'       # owned by the server's user, mode 0600\n"
        "  ssl_ca_file = 'server.cas'        # regate auth export --type=db-client\n"
        "pg_hba.conf, above every other host line:\n"
        "  hostssl all all             0.0.0.0/0 cert\n"
        "  hostssl all all             ::/0      cert\n"
        "Then: SELECT pg_reload_conf();"
    ),
    remedies=(
        ("did not answer", "is the address right, and does a firewall drop the packets?"),
        (
            "connection refused",
            "start it, and let it listen there: listen_addresses and port in postgresql.conf",
        ),
        ("no address", "correct the host's name in the database's uri"),
        ("does not accept tls", "set ssl = on in postgresql.conf and reload"),
        ("tls", "set ssl = on, ssl_cert_file and ssl_key_file in postgresql.conf and reload"),
        ("unknown ca", f"ssl_ca_file in postgresql.conf {CAS}"),
        ("self-signed", f"ssl_ca_file in postgresql.conf {CAS}"),
        (
            "ended early",
            "its log says why; mostly ssl_ca_file is not what regate auth export --type=db-client prints",
        ),
        ("no pg_hba.conf entry", "add the hostssl line above to pg_hba.conf, above other lines, and reload"),
        ("certificate authentication failed", "the hostssl line needs the method cert without a map"),
        ("certificate", "sign one with regate auth sign --format=db, or name its CA in tls.ca_cert_file"),
        ("does not exist", "make it: createuser or createdb on the server"),
        ("asks for authentication", _NO_PASSWORD),
        ("password", _NO_PASSWORD),
    ),
    lets_in="a line with the method trust stands above the hostssl line in pg_hba.conf: remove it",
)
