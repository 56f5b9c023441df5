"""The metrics, for Prometheus."""

from django.http import HttpResponse
from rest_framework.request import Request

from api.authentication import BearerToken, admit
from api.metrics.access import comes_from_an_allowed_network
from api.openapi.operations import metrics_operation
from api.views.base import ApiView
from limits.domain.words import Scope
from limits.enforcement import Engine, RulesetMissing, StoreError, get_engine
from limits.monitoring.prometheus.exposition import exposition


class MetricsView(ApiView):
    """``GET /metrics``"""

    def check_permissions(self, request: Request) -> None:
        if not comes_from_an_allowed_network(request):
            admit(get_engine(), BearerToken.parse(request.META.get("HTTP_AUTHORIZATION", "")), Scope.METRICS)

    @metrics_operation
    def get(self, request: Request) -> HttpResponse:
        _take_over_what_is_published(get_engine())
        text, content_type = exposition(request.META.get("HTTP_ACCEPT", ""))
        return HttpResponse(text, content_type=content_type, headers={"Cache-Control": "no-store"})


def _take_over_what_is_published(engine: Engine) -> None:
    """A server that nobody asks holds old rules, which is no fault: without this it would look like one."""
    try:
        engine.refresh()
    except (StoreError, RulesetMissing):
        return
