"""Every protocol that Regate speaks, one line each."""

from gateway.protocols.mariadb import MARIADB
from gateway.protocols.mongodb import MONGODB
from gateway.protocols.mysql import MYSQL
from gateway.protocols.postgres import POSTGRES
from gateway.protocols.redis import REDIS
from gateway.sansio.protocol import Protocol

REGISTRY: dict[str, Protocol] = {
    "mariadb": MARIADB,
    "mysql": MYSQL,
    "mongodb": MONGODB,
    "postgres": POSTGRES,
    "redis": REDIS,
}
