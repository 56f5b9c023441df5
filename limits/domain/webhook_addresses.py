"""The addresses that a webhook may connect to: never those of the platform's own network.

(OWASP, “Server-Side Request Forgery Prevention Cheat Sheet”.) A name can resolve to a different address by
the time it is used, so the address of each connection is checked.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL_LENGTH = 500

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All IPv6 addresses that IANA has allocated for the public network (IPv6 Address Space registry)."""

_NAT64 = IPv6Network("64:ff9b::/96")
"""Outside of that range, and public if the IPv4 address in the last bits is (RFC 6052)."""

_NOT_PUBLIC: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        # IPv4: ranges that the IANA Special-Purpose Address Registry does not list as globally reachable,
        # relays of 6to4 (RFC 7526), multicast and reserved ranges.
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        # IPv6 inside 2000::/3: protocol assignments with Teredo, documentation, the former 6bone.
        *("2001::/23", "2001:db8::/32", "3ffe::/16", "3fff::/20"),
    )
)
"""Listed here instead of asking the standard library, whose releases differ (CVE-2024-4032)."""

_ISATAP = (0x00005EFE, 0x02005EFE)
"""The middle part of an address that leads to the IPv4 address in the last bits (RFC 5214)."""

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")


def url_problem(url: str, allowed: Sequence[Network] = ()) -> str | None:
    """Returns what is wrong with the URL of a webhook, as far as it can be checked without a name lookup;
    None if nothing is."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (raises for a port that is none)
    except ValueError:
        return "is not a URL."
    if len(url) > MAX_URL_LENGTH or not url.isascii() or not url.isprintable() or " " in url:
        return f"must be a URL of at most {MAX_URL_LENGTH} characters, without spaces."
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must begin with https:// and contain a host name."
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "must not contain a user name, a password or a fragment."
    return _host_problem(parts, allowed)


def _host_problem(parts: SplitResult, allowed: Sequence[Network]) -> str | None:
    """Plain HTTP is only for allowed networks, and only a literal address proves that it is in one."""
    host = (parts.hostname or "").removesuffix(".")
    labels = host.split(".")
    try:
        address = ip_address("127.0.0.1" if labels[-1] == "localhost" else host)
    except ValueError:
        if _NUMBER.fullmatch(labels[-1]):
            return "must write an IPv4 address as four decimal numbers."
        if parts.scheme == "http" and not allowed:
            return "must begin with https://."
        return None
    return address_problem(address, allowed) or scheme_problem(parts.scheme, address, allowed)


def scheme_problem(scheme: str, address: Address, allowed: Sequence[Network]) -> str | None:
    """Returns why this scheme cannot be used to reach the address; None if it can."""
    if scheme == "http" and not _is_inside(address, allowed):
        return "must begin with https://, unless WEBHOOK_ALLOWED_NETWORKS contains the address."
    return None


def address_problem(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """Returns why a webhook may not connect to this address; None if it may."""
    if _is_inside(address, allowed) or _is_public(address):
        return None
    return f"resolves to {address}, which is neither public nor in WEBHOOK_ALLOWED_NETWORKS."


def _is_public(address: Address) -> bool:
    inner = _embedded(address)
    if inner is not None and not _is_public(inner):
        return False
    if isinstance(address, IPv6Address) and not _may_be_public(address):
        return False
    return not any(address in network for network in _NOT_PUBLIC)


def _may_be_public(address: IPv6Address) -> bool:
    return address in _GLOBAL_UNICAST or address in _NAT64 or address.ipv4_mapped is not None


def _embedded(address: Address) -> IPv4Address | None:
    """Returns the IPv4 address that an IPv6 address leads to; None if there is none."""
    if isinstance(address, IPv4Address):
        return None
    last = IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _NAT64 or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return last
    return address.ipv4_mapped or address.sixtofour


def _is_inside(address: Address, networks: Sequence[Network]) -> bool:
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in networks)
