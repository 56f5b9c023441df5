"""IP addresses as servers and proxies write them.

The same caller may appear as ``192.0.2.7``, ``192.0.2.7:51344`` (several gateways append the port of the
connection), ``::ffff:192.0.2.7`` (a dual-stack socket), ``[2001:DB8::1]:443`` or ``fe80::1%eth0`` (RFC 4291,
RFC 5952, RFC 7239).
"""

import ipaddress
import re

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
