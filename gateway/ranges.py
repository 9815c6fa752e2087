"""Where no database may be, whatever its name resolves to: addresses that are compared as they are dialled.

A name that a person could register is looked up anew at each connect, and who answers for it may answer with
the address of a cloud's metadata service, or of the gateway itself. So the address counts, not the name.
"""

from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TypeAlias

from gateway.errors import ConfigError

Network: TypeAlias = IPv4Network | IPv6Network

ALWAYS: tuple[str, ...] = (
    "0.0.0.0/8",  # this host, by a name that no rule about loopback knows
    "169.254.0.0/16",  # link-local, and with it the metadata service of most clouds
    "100.100.100.200/32",  # the same in Alibaba Cloud
    "168.63.129.16/32",  # the agent of Azure
    "192.0.0.192/32",  # the metadata service of Oracle Cloud
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
    "::/128",
    "fe80::/10",  # link-local
    "fd00:ec2::/32",  # Amazon's services of an instance
    "fd20:ce::254/128",  # Google's
    "ff00::/8",  # multicast
)
"""Where no database is: each is refused in every installation."""
_TRANSLATED = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


@dataclass(frozen=True, slots=True)
class Ranges:
    """Networks, and whether an address lies in one of them."""

    networks: tuple[Network, ...]

    def __contains__(self, text: str) -> bool:
        """True of an address, in digits, that must not be dialled: also of one inside an IPv6 address."""
        found = ip_address(text.partition("%")[0])
        return any(one in network for one in _meant(found) for network in self.networks)


def parse(texts: tuple[str, ...]) -> Ranges:
    """Those of *texts* and those that are always refused; a ConfigError names one that is no network."""
    return Ranges(tuple(_network(text) for text in (*ALWAYS, *texts)))


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ConfigError(
            f"{text!r} is no network", hint="write it as in 10.0.0.0/8, without further bits"
        ) from error


def _meant(found: IPv4Address | IPv6Address) -> tuple[IPv4Address | IPv6Address, ...]:
    """The address, and the IPv4 address that a router or the system makes of it."""
    if isinstance(found, IPv4Address):
        return (found,)
    inside = found.ipv4_mapped or found.sixtofour
    if inside is None and found in _TRANSLATED:
        inside = IPv4Address(int(found) & 0xFFFFFFFF)
    return (found,) if inside is None else (found, inside)


REFUSED = parse(())
"""What is refused where the file names nothing further."""
