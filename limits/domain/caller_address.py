"""Addresses of callers, as servers and proxies write them, in one form each.

The same caller may appear as ``192.0.2.7``, ``192.0.2.7:51344`` (several gateways add the port of
the connection), ``::ffff:192.0.2.7`` (a socket for both families), ``[2001:DB8::1]:443`` or
``fe80::1%eth0``. Limits must see one caller in all of them (RFC 4291, RFC 5952, RFC 7239).
"""

import ipaddress
import re

UNKNOWN = "unknown"
"""Stands for callers without an address, as behind a UNIX socket. RFC 7239, section 6.2, has the same word."""

IPV6_PREFIX = 64
"""One subscriber usually has a whole /64, and could take another address for each request."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::\d{0,5})?")
_WITH_PORT = re.compile(r"([^:]*):\d{0,5}")
_WITHOUT_ADDRESS = ("", "none", "unix:", UNKNOWN)
_LONGEST = 128
"""Characters; no address with a zone and a port is longer."""


def parse_address(text: str) -> Address | None:
    """The address, without port, brackets and zone; an IPv4-mapped one as IPv4. None: it is none."""
    text = text.strip().strip('"')
    if len(text) > _LONGEST:
        return None
    if match := _BRACKETED.fullmatch(text) or _WITH_PORT.fullmatch(text):
        text = match[1]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def canonical_address(text: str | None) -> str:
    """The one form of an address. Other text is returned as it is; :data:`UNKNOWN` for no address."""
    address = parse_address(text) if text else None
    if address is not None:
        return str(address)
    stripped = (text or "").strip()
    return UNKNOWN if stripped.lower() in _WITHOUT_ADDRESS else stripped


def subscriber_network(text: str | None) -> str:
    """As :func:`canonical_address`, with an IPv6 address as its /64 network."""
    address = parse_address(text) if text else None
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address.packed, IPV6_PREFIX), strict=False))
    return canonical_address(text)
