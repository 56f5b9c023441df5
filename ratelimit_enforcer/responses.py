"""Responses of plain Django views: the rate limit headers, and problem documents (RFC 9457) for
denials."""

from http import HTTPStatus
from math import ceil
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.cache import patch_cache_control

from ratelimit_enforcer.client_identifier import AnyRequest
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.decision import Decision
from ratelimit_enforcer.domain.enums import Reason
from ratelimit_enforcer.domain.headers import (
    PROBLEM_JSON,
    QUOTA_EXCEEDED_TITLE,
    QUOTA_EXCEEDED_TYPE,
    LegacyHeaders,
    closest_to_denying,
    rate_limit_headers,
    violated_policies,
)
from ratelimit_enforcer.protection import FORBIDDEN, TOO_MANY_REQUESTS, Verdict, decisions_on
from ratelimit_enforcer.request_limit import bare_request

EXPOSABLE_HEADERS = (
    "RateLimit-Policy",
    "RateLimit",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "Retry-After",
)
"""The headers that browsers let pages of other origins read if ``EXPOSE_HEADERS`` is on."""

_EXPOSED = "Access-Control-Expose-Headers"

_MIDDLEWARE = "_rate_limit_middleware"
"""Set on Django's request: the middleware will write the headers, outside all caches."""


def leave_headers_to_middleware(request: HttpRequest) -> None:
    """After this call, only :func:`write_headers` writes the headers of this request's response."""
    setattr(request, _MIDDLEWARE, True)


def add_headers(request: AnyRequest, response: Any) -> None:
    """Writes the headers for a single view; does nothing if the middleware will. A response that is not
    rendered yet gets the headers after rendering, so that a cache inside the view, which stores the
    response as soon as it is rendered, stores it without them."""
    if hasattr(bare_request(request), _MIDDLEWARE) or not isinstance(response, HttpResponseBase):
        return
    if hasattr(response, "add_post_render_callback"):
        response.add_post_render_callback(lambda rendered: write_headers(request, rendered))
    else:
        write_headers(request, response)


def write_headers(request: AnyRequest, response: HttpResponseBase) -> None:
    """Writes one set of rate limit headers to the response of a checked request: those of the decision
    that is closest to denying."""
    decisions = decisions_on(request)
    if decisions and (headers := _headers(closest_to_denying(decisions), response)):
        _write_for_one_client(headers, response)
    if setting("EXPOSE_HEADERS"):
        _expose(response)


def _headers(decision: Decision, response: HttpResponseBase) -> dict[str, str]:
    headers = rate_limit_headers(decision, LegacyHeaders(setting("LEGACY_HEADERS")))
    if decision.allowed and (response.status_code == TOO_MANY_REQUESTS or response.has_header("Retry-After")):
        # Another limiter says when to retry. None of these limits denies, and no `t` may end later.
        headers.pop("RateLimit", None)
    return headers


def _write_for_one_client(headers: dict[str, str], response: HttpResponseBase) -> None:
    """Keeps one client's figures from other clients: shared caches, including Django's, store no private
    response, and a response that the view made public gets no headers."""
    directives = {each.strip().partition("=")[0].lower() for each in response.get("Cache-Control", "").split(",")}
    if directives & {"public", "s-maxage"}:
        return
    for name, value in headers.items():
        response.headers[name] = value
    if not directives & {"private", "no-store"}:
        patch_cache_control(response, private=True)


def _expose(response: HttpResponseBase) -> None:
    """Adds to the names that a CORS middleware may have written."""
    exposed = [each.strip() for each in response.get(_EXPOSED, "").split(",") if each.strip()]
    known = {each.lower() for each in exposed}
    if added := [name for name in EXPOSABLE_HEADERS if response.has_header(name) and name.lower() not in known]:
        response.headers[_EXPOSED] = ", ".join([*exposed, *added])


def denial_response(verdict: Verdict) -> HttpResponse:
    """A response with status 403, 429 or 503, and ``Retry-After`` if waiting helps."""
    response = JsonResponse(_problem(verdict), status=verdict.status, content_type=PROBLEM_JSON)
    if verdict.retry_after is not None:
        response["Retry-After"] = str(ceil(verdict.retry_after))
    # Django logs a line for every 4xx response without this mark; a flood of requests would become a
    # flood of log lines.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _problem(verdict: Verdict) -> dict[str, Any]:
    decision = verdict.decision
    if verdict.status == TOO_MANY_REQUESTS and decision and decision.denying:
        names = violated_policies(decision)
        kind = {"type": QUOTA_EXCEEDED_TYPE, "title": QUOTA_EXCEEDED_TITLE, "violated-policies": names}
        detail = f"Denied by {', '.join(names)}."
    else:
        kind = {"type": "about:blank", "title": HTTPStatus(verdict.status).phrase}
        detail = _detail_without_limit(verdict)
    return kind | {"status": verdict.status, "detail": detail}


def _detail_without_limit(verdict: Verdict) -> str:
    if verdict.status == FORBIDDEN:
        return "This client is blocked."
    if verdict.decision and verdict.decision.reason is Reason.TOO_MANY_RESERVATIONS:
        return "This client has too many unsettled reservations."
    return "The rate limit of this request could not be decided. Try again."
