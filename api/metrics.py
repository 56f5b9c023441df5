"""``GET /metrics``: the platform's own metrics, for Prometheus.

Access is for a token with the scope ``metrics``, or a direct caller in an allowed network.
"""

from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request

from api.authentication import BearerToken, admit
from api.openapi.operations import metrics_operation
from api.views import ApiView
from limits.monitoring.prometheus import exposition
from ratelimit_enforcer.conf import networks
from ratelimit_enforcer.domain.addresses import is_inside
from ratelimit_enforcer.domain.enums import Scope
from ratelimit_enforcer.engine import Engine, RulesetMissing, StoreError, get_engine


class MetricsView(ApiView):
    """``GET /metrics``: all metrics, as OpenMetrics or in the older text format."""

    def check_permissions(self, request: Request) -> None:
        if not is_from_allowed_network(request):
            admit(get_engine(), BearerToken.parse(request.META.get("HTTP_AUTHORIZATION", "")), Scope.METRICS)

    @metrics_operation
    def get(self, request: Request) -> HttpResponse:
        _refresh_rules(get_engine())
        text, content_type = exposition(request.META.get("HTTP_ACCEPT", ""))
        return HttpResponse(text, content_type=content_type, headers={"Cache-Control": "no-store"})


def _refresh_rules(engine: Engine) -> None:
    """Refreshes the rules, since a server without requests has old ones, which the metrics would show as a fault."""
    try:
        engine.refresh()
    except (StoreError, RulesetMissing):
        return


_PROXY_HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP")
"""A caller can overwrite the value of these headers (``X_Forwarded_For`` has the same name in WSGI), but never
remove one."""


def is_from_allowed_network(request: HttpRequest) -> bool:
    """Whether the caller's own address is in ``METRICS_NETWORKS``. False behind a proxy, where all callers
    have the proxy's address."""
    if any(header in request.META for header in _PROXY_HEADERS):
        return False
    return is_inside(request.META.get("REMOTE_ADDR", ""), networks("METRICS_NETWORKS"))
