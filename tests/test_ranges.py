"""Addresses where no database may be, in each of the ways in which they can be written."""

import pytest

from gateway import ranges
from gateway.errors import ConfigError


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "0.0.0.0",  # dialled, not listened on
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "100.100.100.200",
        "168.63.129.16",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
    ],
)
def test_no_database_is_where_machines_ask_about_themselves(address: str) -> None:
    assert address in ranges.REFUSED


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.1.2.3", "192.168.1.1", "2001:db8::1", "fd12::1"])
def test_a_private_address_is_an_address(address: str) -> None:
    assert address not in ranges.REFUSED


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "fd12::1"])
def test_an_operator_refuses_more(address: str) -> None:
    assert address in ranges.parse(("10.0.0.0/8", "fd12::/16"))


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0", "example.com", "", "10.0.0.0/33"])
def test_what_is_no_network_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="is no network"):
        ranges.parse((text,))
