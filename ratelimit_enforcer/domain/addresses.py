"""IP addresses as servers and proxies write them.

The same caller may appear as ``192.0.2.7``, ``192.0.2.7:51344`` (several gateways append the port of the
connection), ``::ffff:192.0.2.7`` (a dual-stack socket), ``[2001:DB8::1]:443`` or ``fe80::1%eth0`` (RFC 4291,
RFC 5952, RFC 7239).
"""

import ipaddress
import re
from collections.abc import Iterable

IPV6_PREFIX = 64
"""One subscriber usually has a whole /64, and could use a different address for each request."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::\d{0,5})?")
_WITH_PORT = re.compile(r"([^:]*):\d{0,5}")
_MAX_LENGTH = 128
"""Maximum length of an address in characters; no address with a zone and a port is longer."""


def parse_address(text: str) -> Address | None:
    """Parses an address; drops port, brackets and zone, and unwraps IPv4-mapped IPv6. None: not an address."""
    text = text.strip().strip('"')
    if len(text) > _MAX_LENGTH:
        return None
    if match := _BRACKETED.fullmatch(text) or _WITH_PORT.fullmatch(text):
        text = match[1]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_inside(address: str, networks: Iterable[Network]) -> bool:
    """Whether an address as a server wrote it is in one of the networks; False for text that is no address."""
    parsed = parse_address(address)
    return parsed is not None and any(parsed in network for network in networks)


def parse_network(text: str) -> Network:
    """Parses a network such as ``203.0.113.0/24``; an address alone is a network of its own. Raises ``ValueError``
    with a sentence for people."""
    try:
        interface = ipaddress.ip_interface(text.strip())
    except ValueError:
        interface = None
    if interface is None or "%" in text:
        raise ValueError("must be a network such as 203.0.113.0/24 or 2001:db8::/48.")
    network = interface.network
    if interface.ip != network.network_address:
        raise ValueError(f"has bits set after its prefix length: write {network}.")
    if embedded := getattr(interface.ip, "ipv4_mapped", None):
        raise ValueError(f"must be written as IPv4: {embedded}/{network.prefixlen - 96}.")
    return network
