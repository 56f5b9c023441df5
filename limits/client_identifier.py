"""Who a request comes from: the client that is limited."""

import hashlib
import ipaddress
import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils.module_loading import import_string
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

from limits.conf import setting
from limits.domain.client import key_problem
from limits.seldom import SeldomLog

AnyRequest = Request | HttpRequest
"""A request as a view of the framework sees it, or as Django does."""

IPV6_PREFIX = 64
"""One subscriber usually has a whole /64, and could take another address for each request."""

HOUR = 3_600.0

_PLAIN_THROTTLE = BaseThrottle()

_forged = SeldomLog(logging.getLogger(__name__), HOUR)


def client_of(request: AnyRequest, throttle: BaseThrottle = _PLAIN_THROTTLE) -> str:
    """The client's key: what ``CLIENT_IDENTIFIER`` makes of the request, else :func:`default_client`.

    An identifier that answers None or an empty string does not know. A key that the platform
    cannot register (too long, with control characters) becomes its digest, so that whoever sends
    such a key is one client like any other. Raises ``ImproperlyConfigured`` for any other answer.
    """
    path = setting("CLIENT_IDENTIFIER")
    key = _identifier(path)(request) if path else None
    if key is not None and not isinstance(key, str):
        raise ImproperlyConfigured(f"{path} answered {key!r}; a client's key is a string.")
    return registrable(key) if key else default_client(request, throttle)


@lru_cache(maxsize=8)
def _identifier(path: str) -> Callable[[AnyRequest], Any]:
    identifier: Callable[[AnyRequest], Any] = import_string(path)
    return identifier


def default_client(request: AnyRequest, throttle: BaseThrottle = _PLAIN_THROTTLE) -> str:
    """``user:<pk>`` of the authenticated user, else ``ip:<address>`` by the framework's own rules
    (``NUM_PROXIES``), an IPv6 address as its /64 network."""
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return registrable(f"user:{user.pk}")
    if api_settings.NUM_PROXIES is None and "x-forwarded-for" in request.headers:
        _forged.warning(
            "NUM_PROXIES of the REST framework is not set, so anybody can be another client with every request, "
            "by the header X-Forwarded-For. Set it to the number of proxies before this server; 0: there are none."
        )
    return registrable(f"ip:{_network(throttle.get_ident(request))}")  # type: ignore[arg-type]


def registrable(key: str) -> str:
    """The key itself where it can be a client's, else a digest of it."""
    if key_problem(key) is None:
        return key
    return f"sha256:{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()}"


def _network(address: str | None) -> str:
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return str(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed.packed, IPV6_PREFIX), strict=False))
    return str(parsed)
