"""The rate limit headers on responses of views: which of them, and which caches may keep them."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import patch_cache_control

from limits.client_identifier import AnyRequest
from limits.conf import setting
from limits.domain.decision import Decision
from limits.domain.headers import LegacyHeaders, closest_to_denying, rate_limit_headers
from limits.protection import TOO_MANY_REQUESTS, bare_request, decisions_on

READABLE = (
    "RateLimit-Policy",
    "RateLimit",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "Retry-After",
)
"""What a browser lets a page of another origin read where ``EXPOSE_HEADERS`` is on."""

_EXPOSED = "Access-Control-Expose-Headers"

_MIDDLEWARE = "_rate_limit_middleware"
"""On Django's request: the middleware will write the headers, outside of every cache."""


def leave_headers_to_middleware(request: HttpRequest) -> None:
    """From now on only :func:`write_headers` writes the headers of this request's response."""
    setattr(request, _MIDDLEWARE, True)


def add_headers(request: AnyRequest, response: Any) -> None:
    """What a single view does in place of the middleware; nothing where that is there. A response
    that is still to be rendered has them after that, so that a cache inside of the view, which
    stores it as soon as it is rendered, stores it without them."""
    if hasattr(bare_request(request), _MIDDLEWARE) or not isinstance(response, HttpResponseBase):
        return
    if hasattr(response, "add_post_render_callback"):
        response.add_post_render_callback(lambda rendered: write_headers(request, rendered))
    else:
        write_headers(request, response)


def write_headers(request: AnyRequest, response: HttpResponseBase) -> None:
    """Puts one set of rate limit headers on the response to a request that was decided about: of
    the decision that is closest to denying."""
    decisions = decisions_on(request)
    if decisions and (headers := _headers(closest_to_denying(decisions), response)):
        _write_for_one_client(headers, response)
    if setting("EXPOSE_HEADERS"):
        _expose(response)


def _headers(decision: Decision, response: HttpResponseBase) -> dict[str, str]:
    headers = rate_limit_headers(decision, LegacyHeaders(setting("LEGACY_HEADERS")))
    if decision.allowed and (response.status_code == TOO_MANY_REQUESTS or response.has_header("Retry-After")):
        # Somebody else says when to come back. None of these limits denies, and no `t` may end later.
        headers.pop("RateLimit", None)
    return headers


def _write_for_one_client(headers: dict[str, str], response: HttpResponseBase) -> None:
    """What one client is told reaches no other: a shared cache, Django's own too, keeps no private
    response; one that the view itself made public goes without these headers."""
    directives = {each.strip().partition("=")[0].lower() for each in response.get("Cache-Control", "").split(",")}
    if directives & {"public", "s-maxage"}:
        return
    for name, value in headers.items():
        response.headers[name] = value
    if not directives & {"private", "no-store"}:
        patch_cache_control(response, private=True)


def _expose(response: HttpResponseBase) -> None:
    """Adds to what a CORS middleware may have written."""
    exposed = [each.strip() for each in response.get(_EXPOSED, "").split(",") if each.strip()]
    known = {each.lower() for each in exposed}
    if added := [name for name in READABLE if response.has_header(name) and name.lower() not in known]:
        response.headers[_EXPOSED] = ", ".join([*exposed, *added])
