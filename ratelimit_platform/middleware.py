"""Middleware of this project.

The header ``Host``: probes may send any value, all other callers must send one of ``ALLOWED_HOSTS``.
"""

import logging
from collections.abc import Callable

from csp.middleware import CSPMiddleware
from django.contrib.auth import SESSION_KEY
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.views.decorators.csrf import csrf_exempt

from api.forward_auth.views import find_forward_auth
from api.problems import BODY_TOO_LARGE, HOST_NOT_ALLOWED, problem_response
from api.rendering import printable
from api.requests import MAX_BODY_BYTES
from api.routing import find
from api.views import HealthView, ReadinessView
from ratelimit_enforcer.log_limiter import RateLimitedLog

_PROBES = {"/healthz": csrf_exempt(HealthView.as_view()), "/readyz": csrf_exempt(ReadinessView.as_view())}
"""Probes connect by address, such as ``10.1.2.3:8000``, and do not depend on the host. So do proxies that ask about a
request: its ``Host`` is that of another site, and headers that the other middleware adds would reach its caller."""

_MAX_SHOWN_LENGTH = 100
"""Maximum number of characters of a host that a message repeats."""

_rejected = RateLimitedLog(logging.getLogger(__name__))


class ProbesMiddleware:
    """Answers ``/healthz``, ``/readyz`` and ``/v1/forward-auth/`` before any other middleware: for any ``Host``, with
    or without TLS."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        probe = _PROBES.get(request.path_info)
        view, arguments = (probe, {}) if probe else find_forward_auth(request.path_info) or (self._get_response, {})
        response: HttpResponseBase = view(request, **arguments)
        return response


class ChecksMiddleware:
    """Answers checks, reservations and charges before the middleware for pages (sessions, forms, static files), which
    has nothing to do for programs: their requests carry a token and no cookie."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        found = find(request.path_info)
        if found is None:
            return self._get_response(request)
        view, arguments = found
        return view(request, **arguments)


class HostMiddleware(CommonMiddleware):
    """Django's own middleware, except that a wrong ``Host`` gets a problem document, and one log line a minute. It
    comes before the redirection to HTTPS, which repeats the host."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:  # type: ignore[override]
        try:
            response: HttpResponse | None = super().process_request(request)
        except DisallowedHost:
            host = printable(request.META.get("HTTP_HOST", ""))[:_MAX_SHOWN_LENGTH]
            _rejected.warning("Rejected a request with the Host “%s”, which is not in ALLOWED_HOSTS.", host)
            return problem_response(HOST_NOT_ALLOWED, f"The host name “{host}” is not allowed.")
        return response


class PagesCSPMiddleware(CSPMiddleware):
    """Sends the content security policy with HTML pages only: responses of the API need none."""

    def process_request(self, request: HttpRequest) -> None:
        """Does nothing: no page uses a nonce."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        is_page = response.get("Content-Type", "").startswith("text/html")
        return super().process_response(request, response) if is_page else response


class LargeBodiesMiddleware:
    """Accepts a large form only from a logged-in user: the check of the CSRF token reads the whole body, and
    files in it are written to the temporary folder. Comes after the session middleware and before that check."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BODY_BYTES and not self._may_send(request):
            return problem_response(BODY_TOO_LARGE, f"Log in to send more than {MAX_BODY_BYTES:,} bytes.")
        return self._get_response(request)

    def _may_send(self, request: HttpRequest) -> bool:
        """Below /v1/, the view itself reads the body, after checking the token."""
        return request.path_info.startswith("/v1/") or SESSION_KEY in request.session
