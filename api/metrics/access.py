"""Who may read the metrics: a token with the scope ``metrics``, or a direct caller from an allowed network."""

from ipaddress import IPv4Network, IPv6Network

from django.http import HttpRequest

from limits.conf import networks
from limits.domain.caller_address import parse_address

Networks = tuple[IPv4Network | IPv6Network, ...]

_SIGNS_OF_A_PROXY = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP")
"""A caller can overwrite the value of one (``X_Forwarded_For`` has the same name in WSGI), never remove it."""


def comes_from_an_allowed_network(request: HttpRequest) -> bool:
    """Whether the caller's own address is in ``METRICS_NETWORKS``. Behind a proxy everybody has the
    proxy's address, so then it counts for nothing."""
    if any(header in request.META for header in _SIGNS_OF_A_PROXY):
        return False
    return _is_inside(request.META.get("REMOTE_ADDR", ""), networks("METRICS_NETWORKS"))


def _is_inside(address: str, allowed: Networks) -> bool:
    caller = parse_address(address)
    return caller is not None and any(caller in network for network in allowed)
