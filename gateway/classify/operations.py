"""The words for what a statement does; policies are written in them, so they never change their meaning."""

from typing import Final

from gateway.model.classification import Class

CLASS_OF: Final[dict[str, Class]] = {
    # reads
    "select": Class.READ,
    "copy_out": Class.READ,
    "show": Class.READ,
    "explain": Class.READ,
    # writes
    "insert": Class.WRITE,
    "update": Class.WRITE,
    "delete": Class.WRITE,
    "merge": Class.WRITE,
    "copy_in": Class.WRITE,
    "lock": Class.WRITE,
    "notify": Class.WRITE,
    # definitions
    "create": Class.DDL,
    "alter": Class.DDL,
    "drop": Class.DDL,
    "truncate": Class.DDL,
    "comment": Class.DDL,
    "refresh": Class.DDL,
    "import": Class.DDL,
    # rights
    "grant": Class.DCL,
    "revoke": Class.DCL,
    "reassign": Class.DCL,
    "security_label": Class.DCL,
    # the server itself
    "administer": Class.ADMIN,
    "analyze": Class.ADMIN,
    "checkpoint": Class.ADMIN,
    "cluster": Class.ADMIN,
    "discard": Class.ADMIN,
    "listen": Class.ADMIN,
    "unlisten": Class.ADMIN,
    "load": Class.ADMIN,
    "reindex": Class.ADMIN,
    "kill": Class.ADMIN,
    "shutdown": Class.ADMIN,
    "flush": Class.ADMIN,
    "install": Class.ADMIN,
    "optimize": Class.ADMIN,
    "repair": Class.ADMIN,
    "check": Class.ADMIN,
    "replicate": Class.ADMIN,
    "help": Class.READ,
    "handler": Class.READ,
    "vacuum": Class.ADMIN,
    "prepare_transaction": Class.ADMIN,
    "commit_prepared": Class.ADMIN,
    "rollback_prepared": Class.ADMIN,
    # the session
    "begin": Class.SESSION,
    "commit": Class.SESSION,
    "rollback": Class.SESSION,
    "savepoint": Class.SESSION,
    "release": Class.SESSION,
    "set": Class.SESSION,
    "reset": Class.SESSION,
    "use": Class.SESSION,
    "unlock": Class.SESSION,
    "prepare": Class.SESSION,
    "deallocate": Class.SESSION,
    "declare": Class.SESSION,
    "close": Class.SESSION,
    # what runs stands elsewhere
    "execute": Class.UNKNOWN,
    "fetch": Class.UNKNOWN,
    "move": Class.UNKNOWN,
    "call": Class.UNKNOWN,
    "do": Class.UNKNOWN,
    "unknown": Class.UNKNOWN,
}
"""Each operation and its class."""
