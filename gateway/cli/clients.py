"""What the clients of each protocol are called, and how they are pointed at a local port."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from gateway.errors import ConfigError
from gateway.sansio.protocol import Startup


@dataclass(frozen=True, slots=True)
class Program:
    """A client that people start: its name, and what brings it."""

    name: str
    package: str


PROGRAMS: Final = {
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
    found = shutil.which(known.name)
    if found is None:
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


def at_port(protocol: str, host: str, port: int, db_name: str) -> Sequence[str]:
    """The arguments that point the protocol's client at a plain local port; no password is needed."""
    if protocol == "redis":
        return ["-h", host, "-p", str(port), *(["-n", db_name] if db_name not in {"", "0"} else [])]
    raise ConfigError(f"{protocol} has no client here that takes a port")


def uri(protocol: str, host: str, port: int, db_user: str, db_name: str) -> str:
    """Where graphical clients and drivers find a plain local port."""
    name = quote(db_name, safe="")
    if protocol == "postgres":
        return f"postgresql://{quote(db_user, safe='')}@{host}:{port}/{name}?sslmode=disable"
    return f"{protocol}://{host}:{port}/{name}"
