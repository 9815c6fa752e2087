"""What MySQL and MariaDB need: lines for my.cnf and for each user, and what their words mean."""

from typing import Final

from gateway.sansio.preparation import CAS, Preparation

PREPARATION: Final = Preparation(
    lines=(
        "my.cnf, below [mysqld]:\n"
        "  ssl_cert = /etc/mysql/server.crt      # regate auth sign --format=mysql --host=NAME --out=server\n"
        "  ssl_key  = /etc/mysql/server.key      # owned by the server's user, mode 0600\n"
        "  ssl_ca   = /etc/mysql/server.cas      # written beside them\n"
        "  require_secure_transport = ON\n"
        "for each database user:\n"
        "  CREATE USER 'alice'@'%' IDENTIFIED BY '' REQUIRE SUBJECT '/CN=alice';\n"
        "Then: restart it."
    ),
    remedies=(
        ("connection refused", "start it, and let it listen there: bind_address and port in my.cnf"),
        ("access denied", "make the user as above: REQUIRE SUBJECT '/CN=' and its name"),
        ("unknown ca", f"ssl_ca in my.cnf {CAS}"),
        ("ended early", f"its log says why; mostly ssl_ca {CAS}"),
        ("tls", "set ssl_cert and ssl_key in my.cnf, and restart it"),
    ),
    lets_in="the user needs REQUIRE SUBJECT: ALTER USER … REQUIRE SUBJECT '/CN=NAME'",
)
