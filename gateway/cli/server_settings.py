"""What a database server's own configuration needs to use the files of ``regate auth sign``."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

Paths: TypeAlias = Mapping[str, Path]
"""The written files by suffix: crt, key, cas, and pem where a server wants the first two in one file."""


def _postgres(paths: Paths) -> Sequence[str]:
    names = (("ssl_cert_file", "crt"), ("ssl_key_file", "key"), ("ssl_ca_file", "cas"))
    return (
        "In postgresql.conf:",
        *[f"  {setting} = '{paths[suffix].absolute()}'" for setting, suffix in names],
        "  ssl = on",
        "",
        "In pg_hba.conf:",
        "  hostssl all all 0.0.0.0/0 cert",
        "  hostssl all all ::/0 cert",
    )


def _mysql(paths: Paths) -> Sequence[str]:
    names = (("ssl_cert", "crt"), ("ssl_key", "key"), ("ssl_ca", "cas"))
    return (
        "In the server's section of my.cnf ([mysqld] or [mariadbd]):",
        *[f"  {setting} = {paths[suffix].absolute()}" for setting, suffix in names],
        "",
        "For each database user:",
        "  CREATE USER 'alice'@'%' IDENTIFIED BY '' REQUIRE SUBJECT '/CN=alice';",
    )


def _mongodb(paths: Paths) -> Sequence[str]:
    return (
        "In mongod.conf:",
        "  net:",
        "    tls:",
        "      mode: requireTLS",
        f"      certificateKeyFile: {paths['pem'].absolute()}",
        f"      CAFile: {paths['cas'].absolute()}",
        "  security:",
        "    authorization: enabled",
        "",
        "For each database user, in mongosh:",
        '  db.getSiblingDB("$external").runCommand({createUser: "CN=alice", roles: [...]})',
    )


SETTINGS: Final[Mapping[str, Callable[[Paths], Sequence[str]]]] = {
    "db": _postgres,
    "mysql": _mysql,
    "mongodb": _mongodb,
}
"""The formats that can be asked for."""
IN_ONE_FILE: Final = frozenset({"mongodb"})
"""Those whose server reads certificate and key from one file, PREFIX.pem."""
