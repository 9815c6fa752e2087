"""MySQL and MariaDB: their lexical rules, their statements, and what the servers bring along."""

from gateway.classify.dialect import Dialect
from gateway.classify.mysql import names, reader, settings

MYSQL = Dialect(name="mysql", read=reader.read_as("mysql"), resolve=names.resolve, startup=settings.startup)
MARIADB = Dialect(
    name="mariadb", read=reader.read_as("mariadb"), resolve=names.resolve, startup=settings.startup
)
