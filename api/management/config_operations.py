"""OpenAPI descriptions of the operations on the whole config: their parameters, and all their possible statuses."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiRequest, OpenApiResponse, extend_schema

from api import problems
from api.management.config_requests import YAML
from api.management.operation_parts import COMMON, DRY_RUN
from api.management.publication_operations import LATER, LIVE, PUBLICATION, UNFIT
from api.openapi.operations import BAD_INPUT, CHALLENGE, REJECTED_EARLY, RETRY_OUTAGE, Responses, problem_answers
from api.openapi.schemas import ref
from api.rendering import JSON
from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH

CONFIG: dict[str, Any] = {
    "plans": [{"slug": "free", "name": "Free", "default": True}, {"slug": "pro", "name": "Pro"}],
    "endpoints": [{"slug": "search", "name": "Search", "routes": ["GET /api/products/search"], "cost": 1}],
    "policies": [{"slug": "pro-search", "plan": "pro", "endpoint": "search", "limits": [{"quota": 200, "window": 60}]}],
    "overrides": [],
    "alert_rules": [
        {
            "name": "search-abuse",
            "metric": "throttled",
            "threshold": 50,
            "window": 60,
            "cooldown": 600,
            "webhooks": ["secret:5f0c7d21a9b3e846"],
        }
    ],
}
_YAML_TEXT = "policies:\n- slug: pro-search\n  plan: pro\n  limits:\n  - quota: 200\n    window: 60\n"
_RAISED = {"policies": CONFIG["policies"]}
_STALE = {"version": 18, "since": 17, "publications": [PUBLICATION]}

_CLIENTS = OpenApiParameter(
    "clients", {"type": "string", "enum": ["1"]}, description="With the section for registered clients."
)
_REASON = OpenApiParameter(
    "reason",
    {"type": "string", "maxLength": MAX_REASON_LENGTH, "not": {"pattern": r"[\u0000-\u001f\u007f-\u009f]"}},
    description="For the history of the rules.",
)
_IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of the config that the change is based on: nothing is changed if the config is another one "
    "by now. It is compared under the same lock under which the change is made.",
)
_IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description="The `ETag` of a config that the caller has: 304."
)
_ETAG = OpenApiParameter(
    "ETag",
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="A digest of the content for this media type, for `If-Match` and `If-None-Match`.",
    response=[200, 304],
)
_VALUE: dict[tuple[int, str], OpenApiResponse] = {
    (200, JSON): OpenApiResponse(ref("ConfigResponse"), "The config.", [OpenApiExample("config", CONFIG)]),
    (200, YAML): OpenApiResponse({"type": "string"}, "The config.", [OpenApiExample("policies", _YAML_TEXT)]),
}
_BODY = {
    JSON: OpenApiRequest(ref("ConfigRequest"), examples=[OpenApiExample("one policy", _RAISED)]),
    YAML: OpenApiRequest({"type": "string"}, examples=[OpenApiExample("one policy", _YAML_TEXT)]),
}
_WRITTEN: Responses = (
    LIVE
    | LATER
    | BAD_INPUT
    | UNFIT
    | problem_answers({problems.PRECONDITION_FAILED: _STALE}, schema=ref("ConfigPreconditionProblemResponse"))
    | COMMON
)
_PARAMETERS = [DRY_RUN, _REASON, _IF_MATCH, CHALLENGE, RETRY_OUTAGE]

read_operation = extend_schema(
    operation_id="readConfig",
    tags=["config"],
    summary="Read the whole config",
    description="The document of the config file, as JSON or YAML. Secrets of notification channels are `secret:ID`.",
    parameters=[_CLIENTS, _IF_NONE_MATCH, _ETAG, CHALLENGE, RETRY_OUTAGE],
    responses=_VALUE
    | {(304, JSON): OpenApiResponse(None, "The caller has this config already.")}
    | problem_answers({problems.INVALID_REQUEST: {}} | REJECTED_EARLY)
    | problem_answers({problems.NOT_ACCEPTABLE: {}})
    | COMMON,
)

replace_operation = extend_schema(
    operation_id="replaceConfig",
    tags=["config"],
    summary="Replace sections of the config",
    description="All or nothing. The sections that the document contains become what it says: what they do not name is "
    "removed, except clients. Sections that it does not contain stay as they are. At most 8 MiB.",
    parameters=_PARAMETERS,
    request=_BODY,
    responses=_WRITTEN,
)

merge_operation = extend_schema(
    operation_id="mergeConfig",
    tags=["config"],
    summary="Add and change objects of the config",
    description="All or nothing. The objects that the document names are added or become what it says; nothing is "
    "removed. At most 8 MiB.",
    parameters=_PARAMETERS,
    request=_BODY,
    responses=_WRITTEN,
)
