"""MariaDB: MySQL's protocol under a name of its own, so that it has a port and a greeting of its own.

https://mariadb.com/kb/en/clientserver-protocol/. Which of the two a server is, it says itself.
"""

from typing import Final

from gateway.protocols import mysql
from gateway.protocols.mysql.handshake import MARIADB_VERSION

MARIADB: Final = mysql.protocol("mariadb", MARIADB_VERSION)
