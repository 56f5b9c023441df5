"""Alerts over HTTP, for programs whose token has the scope “rules”."""

from dataclasses import asdict, replace
from urllib.parse import quote, urlencode

from django.http import HttpResponse
from rest_framework.request import Request

from api.authentication import token_of
from api.management import alert_registry as registry
from api.management.alert_operations import (
    acknowledge_operation,
    list_operation,
    read_operation,
    silence_operation,
)
from api.management.alert_requests import parse_alerts_page, read_acknowledgement, read_silence
from api.management.base import ManagingView, reject_query
from api.management.change_registry import actor_of
from api.rendering import json_response
from ratelimit_enforcer.domain.enums import Scope

_LIVE = {"live": True}


class _AlertView(ManagingView):
    scope = Scope.RULES


class AlertsView(_AlertView):
    """``GET /v1/alerts``: a page of alerts."""

    @list_operation
    def get(self, request: Request) -> HttpResponse:
        wanted = parse_alerts_page(request.META.get("QUERY_STRING", ""))
        rows = registry.page(wanted)
        shown = rows[: wanted.limit]
        following = None
        if len(rows) > wanted.limit:
            fields = asdict(replace(wanted, after=shown[-1].pk))
            given = {name: value for name, value in fields.items() if value is not None}
            following = f"/v1/alerts?{urlencode(given, quote_via=quote)}"
        return json_response({"alerts": list(map(registry.body, shown)), "next": following})


class AlertView(_AlertView):
    """``GET /v1/alerts/ID``: one alert."""

    @read_operation
    def get(self, request: Request, alert: int) -> HttpResponse:
        reject_query(request)
        return json_response(registry.body(registry.find(alert)))


class AlertAcknowledgeView(_AlertView):
    """``POST /v1/alerts/ID/acknowledge``: ends the notifications until the alert is resolved."""

    @acknowledge_operation
    def post(self, request: Request, alert: int) -> HttpResponse:
        reject_query(request)
        read_acknowledgement(request)
        return json_response(registry.body(registry.acknowledge(alert, actor_of(token_of(request)).name)) | _LIVE)


class AlertSilenceView(_AlertView):
    """``POST /v1/alerts/ID/silence``: suspends the notifications until a time."""

    @silence_operation
    def post(self, request: Request, alert: int) -> HttpResponse:
        reject_query(request)
        wanted = read_silence(request)
        return json_response(registry.body(registry.silence(alert, actor_of(token_of(request)).name, wanted)) | _LIVE)
