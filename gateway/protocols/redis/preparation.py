"""What Redis needs: lines for redis.conf and its ACL, and what its words mean."""

from typing import Final

from gateway.sansio.preparation import CAS, Preparation

PREPARATION: Final = Preparation(
    lines=(
        "redis.conf:\n"
        "  port 0\n"
        "  tls-port 6379\n"
        "  tls-cert-file /etc/redis/server.crt    # regate auth sign --format=db --host=NAME --out=server\n"
        "  tls-key-file /etc/redis/server.key     # owned by the server's user, mode 0600\n"
        "  tls-ca-cert-file /etc/redis/server.cas # regate auth export --type=db-client\n"
        "  tls-auth-clients yes\n"
        "of a cluster's nodes also:\n"
        "  tls-cluster yes\n"
        "  cluster-announce-hostname NAME         # a name in the node's certificate\n"
        "users.acl, for every other user than default (auth.method: password, auth.secret_file):\n"
        "  user NAME on >SECRET ~* &* +@all       # at least +acl|whoami +info, +cluster|nodes on a cluster\n"
        "Then: restart it, and ACL LOAD."
    ),
    remedies=(
        ("connection refused", "start it, and let it listen there: bind and tls-port in redis.conf"),
        (
            "takes the gateway for",
            "set auth.method to password with the ACL user's secret in auth.secret_file",
        ),
        ("wrongpass", "auth.secret_file does not hold the secret of that ACL user"),
        ("refused database", "redis.conf allows fewer databases, and a cluster has number 0 alone"),
        ("noperm", "the ACL user needs +acl|whoami and +info, and +cluster|nodes on a cluster"),
        ("wrong version number", "the port speaks no TLS: name the one in tls-port"),
        ("record layer failure", "the port speaks no TLS: name the one in tls-port"),
        ("unknown ca", f"tls-ca-cert-file in redis.conf {CAS}"),
        ("ended early", f"its log says why; mostly tls-ca-cert-file {CAS}"),
    ),
    lets_in="set tls-auth-clients yes in redis.conf, and restart it",
)
