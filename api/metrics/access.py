"""Who may read the metrics: a token with the scope ``metrics``, or a direct caller from an allowed network."""

from ipaddress import IPv4Network, IPv6Network, ip_address

from django.http import HttpRequest

from limits.conf import networks

Networks = tuple[IPv4Network | IPv6Network, ...]

_SIGNS_OF_A_PROXY = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")


def comes_from_an_allowed_network(request: HttpRequest) -> bool:
    """Whether the caller's own address is in ``METRICS_NETWORKS``. Behind a proxy everybody has the
    proxy's address, so then it counts for nothing."""
    if any(request.META.get(header) for header in _SIGNS_OF_A_PROXY):
        return False
    return _is_inside(request.META.get("REMOTE_ADDR", ""), networks("METRICS_NETWORKS"))


def _is_inside(address: str, allowed: Networks) -> bool:
    try:
        caller = ip_address(address)
    except ValueError:
        return False
    caller = getattr(caller, "ipv4_mapped", None) or caller
    return any(caller in network for network in allowed)
