"""What MongoDB needs: lines for mongod.conf and for each user, and what its words mean."""

from typing import Final

from gateway.sansio.preparation import CAS, Preparation

PREPARATION: Final = Preparation(
    lines=(
        "mongod.conf:\n"
        "  net:\n"
        "    tls:\n"
        "      mode: requireTLS\n"
        "      certificateKeyFile: /etc/mongodb/server.pem   # cat server.crt server.key, of\n"
        "        # regate auth sign --format=db --host=NAME --out=server\n"
        "      CAFile: /etc/mongodb/server.cas               # regate auth export --type=db-client\n"
        "  security: {authorization: enabled}\n"
        "for each database user:\n"
        "  db.getSiblingDB('$external').runCommand(\n"
        "    {createUser: 'CN=alice', roles: [{role: 'readWrite', db: 'shop'}]})\n"
        "Then: restart it."
    ),
    remedies=(
        ("connection refused", "start it, and let it listen there: net.bindIp and net.port in mongod.conf"),
        ("could not find user", "make the user CN=NAME in the database $external, as above"),
        ("authentication failed", "make the user CN=NAME in the database $external, as above"),
        ("unknown ca", f"net.tls.CAFile in mongod.conf {CAS}"),
        ("ended early", f"its log says why; mostly net.tls.CAFile {CAS}"),
    ),
    lets_in="set security.authorization: enabled in mongod.conf, and restart it",
)
