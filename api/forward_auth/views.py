"""The views of ``/v1/forward-auth/``."""

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase

from api.decisions import decision_response
from api.forward_auth.access import admit_proxy
from api.forward_auth.clients import client_key, decide
from api.forward_auth.original_request import HEADERS, check_by_headers, check_by_path
from api.openapi.forward_auth import envoy_operation, forward_auth_operation
from api.requests import parse_query
from api.views import ApiView
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.decision import Decision
from ratelimit_enforcer.domain.headers import LegacyHeaders, rate_limit_headers
from ratelimit_enforcer.engine import CheckRequest, get_engine

PREFIX = "/v1/forward-auth/"
STATUS_HEADER = "X-RateLimit-Status"

_DENIED = {"denied": "403"}
_RAW_QUERY = "denied=403"


class _ProxyView(ApiView):
    """Answers a proxy, with any method. ``request`` may be any object with ``META``, ``method`` and ``path``."""

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """Like that of the framework, without its request and response objects, and without a choice of methods:
        Envoy asks with the method of the original request."""
        try:
            return self.get(request, **kwargs)
        except Exception as error:  # noqa: BLE001 - raised again unless it is expected
            return self.error_response(request, error)

    def get(self, request: Any, **kwargs: Any) -> HttpResponse:
        """The answer to a proxy, with every method. Raises the exceptions that
        :func:`~api.errors.exception_response` answers."""
        raise NotImplementedError

    def decide(self, request: Any, check_of: Callable[[], CheckRequest]) -> HttpResponse:
        """The answer to a proxy that may ask. ``check_of``: reads the check, by the address of its caller."""
        engine = get_engine()
        guard = admit_proxy(engine, request.META)
        return _response(decide(engine, check_of(), client_key(request.META), guard))


class ForwardAuthView(_ProxyView):
    """``/v1/forward-auth/PROXY``: for proxies that describe the original request in headers."""

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().dispatch(request, *args, **kwargs)
        return _as_403(response) if _asks_for_403(request, kwargs["proxy"]) else response

    @forward_auth_operation
    def get(self, request: Any, **kwargs: Any) -> HttpResponse:
        proxy: str = kwargs["proxy"]
        headers = HEADERS.get(proxy)
        if headers is None:
            raise Http404
        if not _has_query_of_caller(proxy):
            parse_query(request.META.get("QUERY_STRING", ""), _DENIED)
        return self.decide(request, lambda: check_by_headers(request, headers))


class EnvoyView(_ProxyView):
    """``/v1/forward-auth/envoy/ORIGINAL-PATH``: Envoy appends the original path and query, and asks with the original
    method. So the query is the caller's, and not read."""

    @envoy_operation
    def get(self, request: Any, **kwargs: Any) -> HttpResponse:
        return self.decide(request, lambda: check_by_path(request, f"/{kwargs['path']}"))


def _has_query_of_caller(proxy: str) -> bool:
    """Caddy appends the query of the original request, unless its configuration replaces it."""
    return proxy == "caddy"


def _asks_for_403(request: Any, proxy: str) -> bool:
    return not _has_query_of_caller(proxy) and request.META.get("QUERY_STRING", "") == _RAW_QUERY


def _response(decision: Decision) -> HttpResponse:
    """200 without a body, which no proxy passes on, or the response to the check."""
    if not decision.allowed:
        return decision_response(decision)
    response = HttpResponse(headers=rate_limit_headers(decision, LegacyHeaders(setting("LEGACY_HEADERS"))))
    del response.headers["Content-Type"]
    return response


def _as_403(response: HttpResponse) -> HttpResponse:
    """The same response with status 403 if it had status 429 or 503, which is then in a header: nginx passes only the
    statuses 401 and 403 of ``auth_request``."""
    if response.status_code in (429, 503):
        response.headers[STATUS_HEADER] = str(response.status_code)
        response.status_code = 403
    return response


View = Callable[..., HttpResponseBase]

_view, _envoy_view = ForwardAuthView.as_view(), EnvoyView.as_view()
_ENVOY = f"{PREFIX}envoy/"


def find_forward_auth(path: str) -> tuple[View, dict[str, Any]] | None:
    """The view for this path and its keyword arguments, equal to those of :data:`api.urls.urlpatterns`; None for every
    other path."""
    if not path.startswith(PREFIX):
        return None
    if path.startswith(_ENVOY):
        return _envoy_view, {"path": path.removeprefix(_ENVOY)}
    proxy = path.removeprefix(PREFIX)
    return (_view, {"proxy": proxy}) if proxy and "/" not in proxy else None
