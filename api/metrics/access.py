"""Who may read the metrics: a token with the scope ``metrics``, or a direct caller from an allowed network."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from limits.conf import setting

Networks = tuple[IPv4Network | IPv6Network, ...]

_SIGNS_OF_A_PROXY = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")


def comes_from_an_allowed_network(request: HttpRequest) -> bool:
    """Whether the caller's own address is in ``METRICS_NETWORKS``. Behind a proxy everybody has the
    proxy's address, so then it counts for nothing."""
    if any(request.META.get(header) for header in _SIGNS_OF_A_PROXY):
        return False
    return _is_inside(request.META.get("REMOTE_ADDR", ""), networks(tuple(setting("METRICS_NETWORKS"))))


@lru_cache(maxsize=8)
def networks(given: Sequence[str]) -> Networks:
    """The networks of the setting. Raises ``ImproperlyConfigured``."""
    try:
        return tuple(ip_network(network) for network in given)
    except ValueError as error:
        raise ImproperlyConfigured(f"METRICS_NETWORKS: {error}.") from error


def _is_inside(address: str, allowed: Networks) -> bool:
    try:
        caller = ip_address(address)
    except ValueError:
        return False
    caller = getattr(caller, "ipv4_mapped", None) or caller
    return any(caller in network for network in allowed)
