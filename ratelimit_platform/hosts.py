"""The header ``Host``: probes may send any, everybody else one of ``ALLOWED_HOSTS``."""

import logging
from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.views.decorators.csrf import csrf_exempt

from api.problems import HOST_NOT_ALLOWED, problem_response
from api.rendering import printable
from api.views.health import HealthView, ReadinessView
from limits.seldom import SeldomLog

_PROBES = {"/healthz": csrf_exempt(HealthView.as_view()), "/readyz": csrf_exempt(ReadinessView.as_view())}
"""Asked by address, such as ``10.1.2.3:8000``, and independent of the host."""

_SHOWN = 100
"""Characters of a host that a message repeats."""

_refused = SeldomLog(logging.getLogger(__name__))


class ProbesMiddleware:
    """Answers ``/healthz`` and ``/readyz`` before any other middleware: for any ``Host``, with or without TLS."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        probe = _PROBES.get(request.path_info)
        if probe is None:
            return self._get_response(request)
        response: HttpResponseBase = probe(request)
        return response


class HostMiddleware(CommonMiddleware):
    """Django's own, except that a wrong ``Host`` is a problem document and a line a minute. It comes before the
    redirection to HTTPS, which repeats the host."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:  # type: ignore[override]
        try:
            response: HttpResponse | None = super().process_request(request)
        except DisallowedHost:
            host = printable(request.META.get("HTTP_HOST", ""))[:_SHOWN]
            _refused.warning("Refused a request with the Host “%s”, which ALLOWED_HOSTS does not name.", host)
            return problem_response(HOST_NOT_ALLOWED, f"This server is not reached by the name “{host}”.")
        return response
