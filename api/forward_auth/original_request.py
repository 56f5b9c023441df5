"""The request that a proxy asks about: its method and path, and the address of its caller.

Each proxy sets these headers itself, so that no caller can choose their values. Headers that another proxy sets are
not read, because this proxy may pass them on from its caller.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from rest_framework.settings import api_settings

from api.requests import method_problem, path_problem, reject_invalid
from ratelimit_enforcer.client_identifier import subscriber_network, valid_client_key
from ratelimit_enforcer.domain.addresses import parse_address
from ratelimit_enforcer.domain.attributes import IP
from ratelimit_enforcer.engine import CheckRequest
from ratelimit_enforcer.log_limiter import HOUR_SECONDS, RateLimitedLog

FORWARDED_FOR = "X-Forwarded-For"

_ASCII = bytes(range(128))

_shared_address_log = RateLimitedLog(logging.getLogger(__name__), HOUR_SECONDS)


class Headers(NamedTuple):
    """The names of the headers in which a proxy sends the method and the URI of the original request."""

    method: str
    uri: str


_FORWARDED = Headers("X-Forwarded-Method", "X-Forwarded-Uri")
HEADERS = {"traefik": _FORWARDED, "caddy": _FORWARDED, "nginx": Headers("X-Original-Method", "X-Original-URI")}
"""Proxy → its headers. Traefik and Caddy set them without configuration, for nginx docs/proxies.md configures them."""


def check_by_headers(request: Any, headers: Headers) -> CheckRequest:
    """The check of a request that is described by headers, by its caller's address. Raises
    :class:`~api.problems.ProblemResponse`, which names each missing or invalid header."""
    meta = request.META
    method, path = header(meta, headers.method), _encoded(header(meta, headers.uri).partition("?")[0])
    reject_invalid(_problems({headers.method: method_problem(method), headers.uri: path_problem(path)}, meta))
    return _check(request, method, path)


def check_by_path(request: Any, path: str) -> CheckRequest:
    """The check of a request whose method is that of ``request``, and whose decoded path is ``path``; by its caller's
    address. Raises :class:`~api.problems.ProblemResponse`."""
    # Encoded again, so that it is decoded once only: a path that contains %25 keeps the rest of its meaning.
    path = quote(path)
    reject_invalid(_problems({"method": method_problem(request.method), "path": path_problem(path)}, request.META))
    return _check(request, request.method, path)


def _encoded(path: str) -> str:
    """The path with its bytes outside ASCII, which WSGI has as characters, percent-encoded (RFC 3986, section 2.1)."""
    return path if path.isascii() else quote(path.encode("latin-1", "replace"), safe=_ASCII)


def _check(request: Any, method: str, path: str) -> CheckRequest:
    written = _address(request.META)
    address = parse_address(written)
    attributes = {IP: str(address)} if address else {}
    client = valid_client_key(f"ip:{subscriber_network(written)}")
    return CheckRequest(client, method=method, path=path, attributes=attributes, takes_places=False)


def _address(meta: Mapping[str, Any]) -> str:
    """The caller's address, of those in ``X-Forwarded-For`` the one that the rules of Django REST Framework select.
    Their implementation needs a request of Django."""
    proxies, forwarded = api_settings.NUM_PROXIES, header(meta, FORWARDED_FOR)
    if not proxies or not forwarded:
        return str(meta.get("REMOTE_ADDR", ""))
    addresses = forwarded.split(",")
    return addresses[-min(proxies, len(addresses))].strip()


def header(meta: Mapping[str, Any], name: str) -> str:
    """The value of a header, empty without it."""
    value: str = meta.get(f"HTTP_{name.upper().replace('-', '_')}", "")
    return value.strip()


def _problems(found: Mapping[str, str | None], meta: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields (header, message) for each header that is missing or invalid."""
    for name, problem in found.items():
        if problem:
            yield name, problem if _is_sent(meta, name) else "is required."
    if not api_settings.NUM_PROXIES:
        _shared_address_log.warning(
            "NUM_PROXIES is 0, so the requests that a proxy asks about all count for the address of the proxy. Set "
            "NUM_PROXIES to the number of proxies that add an address to X-Forwarded-For."
        )
    elif not header(meta, FORWARDED_FOR):
        yield FORWARDED_FOR, "is required."


def _is_sent(meta: Mapping[str, Any], name: str) -> bool:
    return name in ("method", "path") or bool(header(meta, name))
