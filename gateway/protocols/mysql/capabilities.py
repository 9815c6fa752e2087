"""What client and server agree on in their first packets: the capability bits, and which the gateway offers.

https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html and
https://mariadb.com/kb/en/connection/. Left out on purpose: compression (a bomb would have to be unpacked
here), LOCAL INFILE (a server could ask for any file of the client), optional metadata, NO_SCHEMA (names would
mean other tables), expired passwords, several factors: what is not offered here is not agreed on with the
server either.
"""

from typing import Final

LONG_PASSWORD: Final = 1 << 0  # MariaDB calls it CLIENT_MYSQL: without it there are extended capabilities
FOUND_ROWS: Final = 1 << 1
LONG_FLAG: Final = 1 << 2
CONNECT_WITH_DB: Final = 1 << 3
NO_SCHEMA: Final = 1 << 4  # the server then drops the database in front of a name, and reads another table
COMPRESS: Final = 1 << 5
ODBC: Final = 1 << 6
LOCAL_FILES: Final = 1 << 7
IGNORE_SPACE: Final = 1 << 8
PROTOCOL_41: Final = 1 << 9
INTERACTIVE: Final = 1 << 10
SSL: Final = 1 << 11
IGNORE_SIGPIPE: Final = 1 << 12
TRANSACTIONS: Final = 1 << 13
SECURE_CONNECTION: Final = 1 << 15
MULTI_STATEMENTS: Final = 1 << 16
MULTI_RESULTS: Final = 1 << 17
PS_MULTI_RESULTS: Final = 1 << 18
PLUGIN_AUTH: Final = 1 << 19
CONNECT_ATTRS: Final = 1 << 20
LENENC_AUTH: Final = 1 << 21
SESSION_TRACK: Final = 1 << 23
DEPRECATE_EOF: Final = 1 << 24
QUERY_ATTRIBUTES: Final = 1 << 27
BULK_OPERATIONS: Final = 1 << 34  # MariaDB's: of the extended capabilities, which stand in words of their own

OFFERED: Final = (
    LONG_PASSWORD
    | FOUND_ROWS
    | LONG_FLAG
    | CONNECT_WITH_DB
    | ODBC
    | IGNORE_SPACE
    | PROTOCOL_41
    | INTERACTIVE
    | TRANSACTIONS
    | SECURE_CONNECTION
    | MULTI_STATEMENTS
    | MULTI_RESULTS
    | PS_MULTI_RESULTS
    | PLUGIN_AUTH
    | CONNECT_ATTRS
    | LENENC_AUTH
    | SESSION_TRACK
    | DEPRECATE_EOF
    | QUERY_ATTRIBUTES
    | BULK_OPERATIONS
)
"""To clients, each as far as the server has it too."""

WORD: Final = 32
LOW: Final = (1 << WORD) - 1
"""The capabilities of the first word; the others are told where there is no LONG_PASSWORD only."""


def combined(low: int, extended: int) -> int:
    """All capabilities of somebody who tells these two words."""
    return low if low & LONG_PASSWORD else low | extended << WORD


SHAPES: Final = DEPRECATE_EOF | QUERY_ATTRIBUTES | BULK_OPERATIONS
"""What changes how packets look, or which there are: client and server must mean the same by it."""

# Bits of the server status that say how a reply goes on.
STATUS_AUTOCOMMIT: Final = 0x0002
STATUS_MORE_RESULTS: Final = 0x0008
STATUS_CURSOR_EXISTS: Final = 0x0040
