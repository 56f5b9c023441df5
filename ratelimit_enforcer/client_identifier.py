"""Identifies the client that a request counts for, if no user is logged in by the caller's address, in one form
however servers and proxies write it (:mod:`ratelimit_enforcer.domain.addresses`).
"""

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

from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.addresses import IPV6_PREFIX, parse_address
from ratelimit_enforcer.domain.client import key_problem
from ratelimit_enforcer.log_limiter import HOUR_SECONDS, RateLimitedLog

AnyRequest = Request | HttpRequest
"""A request of Django REST Framework, or of Django."""

PLAIN_THROTTLE = BaseThrottle()

_forgeable_addresses_log = RateLimitedLog(logging.getLogger(__name__), HOUR_SECONDS)
_missing_addresses_log = RateLimitedLog(logging.getLogger(__name__), HOUR_SECONDS)


def client_of(request: AnyRequest, throttle: BaseThrottle = PLAIN_THROTTLE) -> str:
    """The client's key: the result of ``CLIENT_IDENTIFIER``, else :func:`default_client`.

    An identifier that returns None or an empty string falls back to the default. A key that cannot be
    registered (too long, or with control characters) is replaced by its digest, so that its sender is a
    client like any other. Raises ``ImproperlyConfigured`` for any other result.
    """
    path = setting("CLIENT_IDENTIFIER")
    key = function_of_request(path)(request) if path else None
    if key is not None and not isinstance(key, str):
        raise ImproperlyConfigured(f"{path} returned {key!r}; a client's key must be a string.")
    return valid_client_key(key) if key else default_client(request, throttle)


@lru_cache(maxsize=64)
def function_of_request(path: str) -> Callable[[AnyRequest], Any]:
    """The function of the request that a setting names by its dotted path. Raises ``ImportError``."""
    function: Callable[[AnyRequest], Any] = import_string(path)
    return function


def default_client(request: AnyRequest, throttle: BaseThrottle = PLAIN_THROTTLE) -> str:
    """``user:<pk>`` of the authenticated user, else ``ip:<address>`` by the framework's rules
    (``NUM_PROXIES``), an IPv6 address as its /64 network; ``ip:unknown`` for all without an address."""
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return valid_client_key(f"user:{user.pk}")
    if api_settings.NUM_PROXIES is None and "x-forwarded-for" in request.headers:
        _forgeable_addresses_log.warning(
            "NUM_PROXIES of the REST framework is not set, so a caller can pose as a different client in each request "
            "by changing the header X-Forwarded-For. Set NUM_PROXIES to the number of proxies in front of this "
            "server, or 0."
        )
    return valid_client_key(f"ip:{address_of(request, throttle)}")


def address_of(request: AnyRequest, throttle: BaseThrottle = PLAIN_THROTTLE) -> str:
    """The caller's address by the framework's rules, normalized; an IPv6 address as its /64 network.

    Without ``NUM_PROXIES``, the framework uses the whole of ``X-Forwarded-For``: several addresses.
    """
    ident: str = throttle.get_ident(request) or ""  # type: ignore[arg-type]
    address = ",".join(subscriber_network(each) for each in ident.split(","))
    if address == UNKNOWN:
        _missing_addresses_log.warning(
            "The server provides no address of the caller, as with a UNIX socket: all callers without a login are one "
            "client together. Have the proxy set X-Forwarded-For, and set NUM_PROXIES of the REST framework."
        )
    return address


def caller_address(request: AnyRequest, throttle: BaseThrottle = PLAIN_THROTTLE) -> str | None:
    """The caller's whole address by the framework's rules, normalized; None if it has none. Of several addresses
    in ``X-Forwarded-For``, as without ``NUM_PROXIES``, the last."""
    ident: str = throttle.get_ident(request) or ""  # type: ignore[arg-type]
    address = parse_address(ident.rpartition(",")[2])
    return str(address) if address else None


def valid_client_key(key: str) -> str:
    """The key if it is valid for a client, else a digest of it."""
    return key if key_problem(key) is None else digest_of(key)


def digest_of(text: str) -> str:
    """What stands for a text that is too long, or has characters that are not allowed: ``sha256:`` and its digest."""
    return f"sha256:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"


UNKNOWN = "unknown"
"""Stands for callers without an address, such as behind a UNIX socket; the term of RFC 7239, section 6.2."""

_WITHOUT_ADDRESS = ("", "none", "unix:", UNKNOWN)


def canonical_address(text: str | None) -> str:
    """The normalized form of an address. Other text is returned stripped; :data:`UNKNOWN` for no address."""
    address = parse_address(text) if text else None
    if address is not None:
        return str(address)
    stripped = (text or "").strip()
    return UNKNOWN if stripped.lower() in _WITHOUT_ADDRESS else stripped


def subscriber_network(text: str | None) -> str:
    """The normalized address, like :func:`canonical_address`, but an IPv6 address becomes its /64 network."""
    address = parse_address(text) if text else None
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address.packed, IPV6_PREFIX), strict=False))
    return canonical_address(text)
