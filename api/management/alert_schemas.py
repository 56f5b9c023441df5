"""JSON Schemas of alerts."""

from datetime import timedelta

from api.management.alert_requests import MAX_SILENCE
from api.openapi.schemas import TEXT, Schema, nullable, object_schema, ref
from limits.models import Alert
from ratelimit_enforcer.domain.enums import AlertMetric, GroupBy
from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH

_MOMENT: Schema = {"type": "string", "format": "date-time"}
_MAYBE = nullable(_MOMENT)
_ALERT = object_schema(
    {
        "id": {"type": "integer"},
        "rule": TEXT | {"description": "The name of the alert rule."},
        "metric": {"type": "string", "enum": [metric.value for metric in AlertMetric]},
        "group_by": {"type": ["string", "null"], "enum": [*(each.value for each in GroupBy), None]},
        "subject": TEXT
        | {
            "description": "The client's key, the slug of the endpoint or policy, or the platform's problem; "
            "`all requests` without `group_by`."
        },
        "state": {"type": "string", "enum": list(Alert.State)},
        "value": {"type": "number", "description": "The metric when the rule last fired."},
        "highest": {"type": "number", "description": "The highest value while the alert was open."},
        "since": _MOMENT | {"description": "When it opened."},
        "last_fired_at": _MOMENT,
        "resolved_at": _MAYBE,
        "notified_at": _MAYBE | {"description": "The last notification about this rule and subject."},
        "acknowledged_at": _MAYBE,
        "acknowledged_by": nullable(TEXT) | {"description": "A user name, or `token NAME`."},
        "silenced_until": _MAYBE,
        "silenced_by": nullable(TEXT) | {"description": "A user name, or `token NAME`."},
        "silence_reason": nullable(TEXT),
    }
)

ALERT_SCHEMAS: dict[str, Schema] = {
    "AlertAcknowledgeRequest": object_schema({}, additionalProperties=False),
    "AlertHandledResponse": {"allOf": [ref("AlertResponse"), object_schema({"live": {"const": True}})]},
    "AlertResponse": _ALERT,
    "AlertSilenceRequest": object_schema(
        {
            "until": _MOMENT | {"description": "The end, with a time zone; in place of `minutes`."},
            "minutes": {"type": "integer", "minimum": 1, "maximum": MAX_SILENCE // timedelta(minutes=1)},
            "reason": TEXT | {"maxLength": MAX_REASON_LENGTH},
        },
        optional=("until", "minutes", "reason"),
        additionalProperties=False,
        oneOf=[{"required": ["until"]}, {"required": ["minutes"]}],
    ),
    "AlertsResponse": object_schema(
        {"alerts": {"type": "array", "items": ref("AlertResponse")}, "next": {"type": ["string", "null"]}}
    ),
}
