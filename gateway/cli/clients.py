"""What the clients of each protocol are called, and how they are pointed at a local port."""

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from gateway.errors import ConfigError
from gateway.sansio.protocol import Startup


@dataclass(frozen=True, slots=True)
class Program:
    """A client that people start: its name, what brings it, and another that does where it is missing."""

    name: str
    package: str
    other: str = ""


MYSQL: Final = frozenset({"mysql", "mariadb"})

PROGRAMS: Final = {
    "mariadb": Program("mariadb", "mariadb-client"),
    "mysql": Program("mariadb", "mariadb-client", "mysql"),
    "mongodb": Program("mongosh", "mongodb-mongosh"),
    "postgres": Program("psql", "postgresql-client"),
    "redis": Program("redis-cli", "redis-tools"),
}


def program(protocol: str) -> str:
    """The path of the protocol's client; ConfigError says how to get it."""
    known = PROGRAMS.get(protocol)
    if known is None:
        raise ConfigError(
            f"regate does not start clients for {protocol}", hint="use regate proxy db --tunnel and your own"
        )
    found = shutil.which(known.name) or (known.other and shutil.which(known.other))
    if not found:
        raise ConfigError(
            f"{known.name} is not on the PATH",
            hint=f"install it (apt install {known.package}), or use regate proxy db --tunnel",
        )
    return found


def introduction(protocol: str, host: str, port: int) -> bytes:
    """What a tunnel says ahead of the client: where that reaches it, if the protocol tells addresses."""
    from gateway.protocols import REGISTRY  # noqa: PLC0415 # imports every codec: only a tunnel needs to

    introduce = REGISTRY[protocol].introduce if protocol in REGISTRY else None
    return b"" if introduce is None else introduce(Startup(parameters={"public": f"{host}:{port}"}))


def at_port(protocol: str, host: str, port: int, db_name: str, db_user: str = "") -> Sequence[str]:
    """The arguments that point the protocol's client at a plain local port; no password is needed."""
    if protocol in MYSQL:
        name = [] if not db_name else [f"--database={db_name}"]
        return [f"--host={host}", f"--port={port}", "--protocol=tcp", f"--user={db_user}", *name]
    if protocol == "mongodb":
        return [uri(protocol, host, port, "", db_name)]
    if protocol == "redis":
        return ["-h", host, "-p", str(port), *(["-n", db_name] if db_name not in {"", "0"} else [])]
    raise ConfigError(f"{protocol} has no client here that takes a port")


def one(protocol: str, statement: str) -> Sequence[str]:
    """The arguments that have the protocol's client run one statement."""
    if protocol == "mongodb":
        return ["--quiet", "--eval", statement]
    return ["--execute", statement] if protocol in MYSQL else shlex.split(statement)


def uri(protocol: str, host: str, port: int, db_user: str, db_name: str) -> str:
    """Where graphical clients and drivers find a plain local port."""
    name = quote(db_name, safe="")
    if protocol == "postgres":
        return f"postgresql://{quote(db_user, safe='')}@{host}:{port}/{name}?sslmode=disable"
    if protocol == "mongodb":  # without it a driver would look for the members of a cluster
        return f"mongodb://{host}:{port}/{name}?directConnection=true"
    who = f"{quote(db_user, safe='')}@" if protocol in MYSQL else ""
    return f"{protocol}://{who}{host}:{port}/{name}"
