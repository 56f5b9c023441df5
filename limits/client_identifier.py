"""Who a request comes from: the client that is limited."""

import hashlib
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
from limits.domain.caller_address import UNKNOWN, subscriber_network
from limits.domain.client import key_problem
from limits.seldom import HOUR, SeldomLog

AnyRequest = Request | HttpRequest
"""A request as a view of the framework sees it, or as Django does."""

_PLAIN_THROTTLE = BaseThrottle()

_forged = SeldomLog(logging.getLogger(__name__), HOUR)
_nameless = SeldomLog(logging.getLogger(__name__), HOUR)


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
    (``NUM_PROXIES``), an IPv6 address as its /64 network; ``ip:unknown`` for all without an address."""
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return registrable(f"user:{user.pk}")
    if api_settings.NUM_PROXIES is None and "x-forwarded-for" in request.headers:
        _forged.warning(
            "NUM_PROXIES of the REST framework is not set, so anybody can be another client with every request, "
            "by the header X-Forwarded-For. Set it to the number of proxies before this server; 0: there are none."
        )
    return registrable(f"ip:{address_of(request, throttle)}")


def address_of(request: AnyRequest, throttle: BaseThrottle = _PLAIN_THROTTLE) -> str:
    """The caller's address by the framework's own rules, in one form; an IPv6 address as its /64 network.

    Without ``NUM_PROXIES`` the framework takes the whole of ``X-Forwarded-For``, several addresses.
    """
    ident: str = throttle.get_ident(request) or ""  # type: ignore[arg-type]
    address = ",".join(subscriber_network(each) for each in ident.split(","))
    if address == UNKNOWN:
        _nameless.warning(
            "The server gives no address of its callers, as with a UNIX socket: those who are not logged in are one "
            "client together. Have the proxy set X-Forwarded-For, and set NUM_PROXIES of the REST framework."
        )
    return address


def registrable(key: str) -> str:
    """The key itself where it can be a client's, else a digest of it."""
    if key_problem(key) is None:
        return key
    return f"sha256:{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()}"
