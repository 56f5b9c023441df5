"""OpenAPI descriptions of the operations on alerts."""

from typing import Any

from drf_spectacular.utils import extend_schema

from api.management.operation_parts import (
    BAD_QUERY,
    COMMON,
    UNKNOWN,
    id_parameter,
    id_schema,
    limit_parameter,
    query,
    request_body,
)
from api.openapi.operations import BAD_INPUT, CHALLENGE, RETRY_OUTAGE, json_answer
from limits.models import Alert

_OPEN: dict[str, Any] = {
    "id": 12,
    "rule": "search-abuse",
    "metric": "throttled",
    "group_by": "client",
    "subject": "acme",
    "state": "open",
    "value": 61.0,
    "highest": 83.0,
    "since": "2026-11-20T08:00:00Z",
    "last_fired_at": "2026-11-20T08:05:00Z",
    "resolved_at": None,
    "notified_at": "2026-11-20T08:00:00Z",
    "acknowledged_at": None,
    "acknowledged_by": None,
    "silenced_until": None,
    "silenced_by": None,
    "silence_reason": None,
}
_ACKNOWLEDGED = {
    **_OPEN,
    "state": "acknowledged",
    "acknowledged_at": "2026-11-20T08:06:00Z",
    "acknowledged_by": "token deploy",
    "live": True,
}
_SILENCED = {
    **_OPEN,
    "state": "silenced",
    "silenced_until": "2026-11-20T12:00:00Z",
    "silenced_by": "token deploy",
    "silence_reason": "A load test.",
    "live": True,
}
_ID = id_parameter("alert", "The id of the alert.")


list_operation = extend_schema(
    operation_id="listAlerts",
    tags=["alerts"],
    summary="List the alerts",
    description="The newest first.",
    parameters=[
        limit_parameter("Alerts"),
        query("after", "Only alerts that opened before the one with this id.", id_schema()),
        query("state", "Only in this state.", {"type": "string", "enum": list(Alert.State)}),
        query("rule", "Only alerts of the rule with this name."),
        CHALLENGE,
        RETRY_OUTAGE,
    ],
    responses=json_answer("AlertsResponse", "A page of alerts.", page={"alerts": [_OPEN], "next": None})
    | BAD_QUERY
    | COMMON,
)

read_operation = extend_schema(
    operation_id="readAlert",
    tags=["alerts"],
    summary="Read an alert",
    description="What the rule measured, and who acknowledged or silenced the alert.",
    parameters=[_ID, CHALLENGE, RETRY_OUTAGE],
    responses=json_answer("AlertResponse", "The alert.", open=_OPEN) | BAD_QUERY | UNKNOWN | COMMON,
)

acknowledge_operation = extend_schema(
    operation_id="acknowledgeAlert",
    tags=["alerts"],
    summary="Acknowledge an alert",
    description="Ends the notifications until the alert is resolved. Repeating it, or acknowledging a resolved alert, "
    "changes nothing.",
    parameters=[_ID, CHALLENGE, RETRY_OUTAGE],
    request=request_body("AlertAcknowledgeRequest", empty={}),
    responses=json_answer("AlertHandledResponse", "The alert.", acknowledged=_ACKNOWLEDGED)
    | BAD_INPUT
    | UNKNOWN
    | COMMON,
)

silence_operation = extend_schema(
    operation_id="silenceAlert",
    tags=["alerts"],
    summary="Silence an alert",
    description="Suspends the notifications about the rule and the subject until a time, even if the alert is resolved "
    "and opens again. Repeating it sets another end.",
    parameters=[_ID, CHALLENGE, RETRY_OUTAGE],
    request=request_body(
        "AlertSilenceRequest",
        minutes={"minutes": 240, "reason": "A load test."},
        until={"until": "2026-11-20T12:00:00Z"},
    ),
    responses=json_answer("AlertHandledResponse", "The alert.", silenced=_SILENCED) | BAD_INPUT | UNKNOWN | COMMON,
)
