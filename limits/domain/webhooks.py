"""Where a webhook may lead: never into the network that the platform itself is in.

(OWASP, “Server-Side Request Forgery Prevention Cheat Sheet”.) A name can mean another address by the
time that it is used, so the address that is connected to is judged, each time.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL_LENGTH = 500

_TRANSLATED = ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48")
"""IPv6 addresses that a translator turns into the IPv4 address in their last bits (RFC 6052, RFC 8215)."""

_RESERVED = ip_network("192.0.0.0/24"), ip_network("2001::/23")
"""Protocol assignments, which older releases of Python take for public in parts (CVE-2024-4032)."""


def url_problem(url: str, allowed: Sequence[Network] = ()) -> str | None:
    """What is wrong with the URL of a webhook, as far as it can be told without asking anybody."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (raises for a port that is none)
    except ValueError:
        return "is not a URL."
    if len(url) > MAX_URL_LENGTH or not url.isascii() or not url.isprintable() or " " in url:
        return f"must be a URL of at most {MAX_URL_LENGTH} characters, without blanks."
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must begin with https:// and name a host."
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "must hold neither a user, nor a password, nor a fragment."
    return _host_problem(parts, allowed)


def _host_problem(parts: SplitResult, allowed: Sequence[Network]) -> str | None:
    """Plain HTTP is for networks that were allowed, and only a literal address shows that it is in one."""
    try:
        address = ip_address("127.0.0.1" if parts.hostname == "localhost" else parts.hostname or "")
    except ValueError:
        if parts.scheme == "http" and not allowed:
            return "must begin with https://."
        return None
    return address_problem(address, allowed) or scheme_problem(parts.scheme, address, allowed)


def scheme_problem(scheme: str, address: Address, allowed: Sequence[Network]) -> str | None:
    """Why this scheme cannot be used to reach the address."""
    if scheme == "http" and not _is_inside(address, allowed):
        return "must begin with https://, since its address is not in WEBHOOK_ALLOWED_NETWORKS."
    return None


def address_problem(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """Why a webhook may not reach this address."""
    if _is_inside(address, allowed) or _is_public(address):
        return None
    return f"leads to {address}, which is not a public address and not in WEBHOOK_ALLOWED_NETWORKS."


def _is_public(address: Address) -> bool:
    inner = _embedded(address)
    if inner is not None:
        return _is_public(inner)
    if any(address in network for network in _RESERVED):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return None
    if any(address in network for network in _TRANSLATED):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


def _is_inside(address: Address, networks: Sequence[Network]) -> bool:
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in networks)
