"""Who a request comes from: the client that is limited."""

import ipaddress
from collections.abc import Callable
from functools import lru_cache

from django.utils.module_loading import import_string
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from limits.conf import setting

IPV6_PREFIX = 64
"""One subscriber usually has a whole /64, and could take another address for each request."""


def client_of(request: Request, throttle: BaseThrottle) -> str:
    """The client's key: what ``CLIENT_IDENTIFIER`` makes of the request where it is set, else
    :func:`default_client`."""
    path = setting("CLIENT_IDENTIFIER")
    return _identifier(path)(request) if path else default_client(request, throttle)


@lru_cache(maxsize=8)
def _identifier(path: str) -> Callable[[Request], str]:
    identifier: Callable[[Request], str] = import_string(path)
    return identifier


def default_client(request: Request, throttle: BaseThrottle) -> str:
    """``user:<pk>`` of the authenticated user, else ``ip:<address>`` by the framework's own rules
    (``NUM_PROXIES``), an IPv6 address as its /64 network."""
    user = request.user
    if user is not None and user.is_authenticated:
        return f"user:{user.pk}"
    return f"ip:{_network(throttle.get_ident(request))}"


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:200]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed.packed, IPV6_PREFIX), strict=False))
    return str(parsed)
