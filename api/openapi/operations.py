"""OpenAPI descriptions of the operations: their parameters, and all their possible statuses."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiRequest, OpenApiResponse, extend_schema

from api import problems
from api.openapi import examples
from api.openapi.schemas import ATTRIBUTES, Schema, ref
from api.problems import ProblemType
from api.rendering import JSON
from ratelimit_enforcer.domain.client import MAX_KEY_LENGTH
from ratelimit_enforcer.domain.headers import PROBLEM_JSON

Responses = dict[tuple[int, str], OpenApiResponse]


def json_answer(schema: str, description: str, *, status: int = 200, **values: dict[str, Any]) -> Responses:
    """A response with this status and a JSON body; ``values`` are examples: name → body."""
    shown = [OpenApiExample(name, value) for name, value in values.items()]
    return {(status, JSON): OpenApiResponse(ref(schema), description, shown)}


def problem_answers(problems_: Mapping[ProblemType, dict[str, Any]], schema: Schema | None = None) -> Responses:
    """A response with a problem document: one status, and the problem types with that status → the extension
    members of their examples."""
    shown = [OpenApiExample(kind.title, examples.problem(kind, members)) for kind, members in problems_.items()]
    description = " Or: ".join(kind.title for kind in problems_)
    status = next(iter(problems_)).status
    return {(status, PROBLEM_JSON): OpenApiResponse(schema or ref("ProblemResponse"), description, shown)}


def _header(name: str, description: str, *statuses: int, kind: type = str, required: bool = False) -> OpenApiParameter:
    return OpenApiParameter(
        name, kind, OpenApiParameter.HEADER, required=required, description=description, response=list(statuses)
    )


ALWAYS = problem_answers({problems.METHOD_NOT_ALLOWED: {}}) | problem_answers({problems.INTERNAL_ERROR: {}})

REJECTED_EARLY: dict[ProblemType, dict[str, Any]] = {problems.BAD_REQUEST: {}, problems.HOST_NOT_ALLOWED: {}}

BAD_INPUT = (
    problem_answers(
        {
            problems.INVALID_REQUEST: {"errors": {"cost": ["must be a whole number from 1 to 1,000,000."]}},
            problems.MALFORMED_BODY: {"errors": {"body": ["is empty."]}},
        }
        | REJECTED_EARLY
    )
    | problem_answers({problems.NOT_ACCEPTABLE: {}})
    | problem_answers({problems.BODY_TOO_SLOW: {}})
    | problem_answers({problems.LENGTH_REQUIRED: {}})
    | problem_answers({problems.BODY_TOO_LARGE: {}})
    | problem_answers({problems.UNSUPPORTED_MEDIA_TYPE: {}})
)

NO_TOKEN = problem_answers({problems.MISSING_TOKEN: {}, problems.INVALID_TOKEN: {}})

FORBIDDEN_TYPES: dict[ProblemType, dict[str, Any]] = {problems.INSUFFICIENT_SCOPE: {}, problems.HTTPS_REQUIRED: {}}

FORBIDDEN = problem_answers(FORBIDDEN_TYPES)

UNDECIDED = {problems.STORE_UNAVAILABLE: examples.UNDECIDED, problems.RULESET_MISSING: {}}
DENIAL_OR_PROBLEM: Schema = {"anyOf": [ref("DenialResponse"), ref("ProblemResponse")]}

_CHECK_REQUEST = {
    JSON: OpenApiRequest(
        {"oneOf": [ref("CheckByEndpointRequest"), ref("CheckByRouteRequest")]},
        examples=[
            OpenApiExample("By endpoint", examples.BY_ENDPOINT),
            OpenApiExample("By method and path", examples.BY_ROUTE),
            OpenApiExample("With attributes", examples.WITH_ATTRIBUTES),
        ],
    )
}

STATUS = OpenApiParameter("status", int, enum=[200], description="200: every decision has status 200; see `allowed`.")


def rate_limit_headers(*statuses: int) -> list[OpenApiParameter]:
    """The fields of draft-ietf-httpapi-ratelimit-headers-11; absent if no limit is enforced."""
    return [
        _header("RateLimit-Policy", 'One item per enforcing limit: `"pro-search:60s";q=100;w=60`.', *statuses),
        _header(
            "RateLimit",
            'One item per enforcing limit; in a denial, one per denying limit: `"pro-search:60s";r=41;t=32`. `t`: '
            "seconds over which to spread the remaining requests; in a denial, the time to wait. Absent if waiting "
            "cannot help.",
            *statuses,
        ),
    ]


CHALLENGE = _header("WWW-Authenticate", "A challenge as defined in RFC 6750.", 401, required=True)
RETRY_DENIED = _header("Retry-After", "In seconds; absent if waiting cannot help.", 429, kind=int)
RETRY_OUTAGE = _header("Retry-After", "In seconds.", 503, kind=int, required=True)

check_operation = extend_schema(
    operation_id="check",
    tags=["checks"],
    summary="Decide a request and count it",
    description="Decides whether to serve a request, and counts it if admitted. A denied request costs nothing.",
    parameters=[STATUS, *rate_limit_headers(200, 429), RETRY_DENIED, RETRY_OUTAGE, CHALLENGE],
    request=_CHECK_REQUEST,
    responses=json_answer("DecisionResponse", "Admitted; with `?status=200`, any decision.", admitted=examples.ADMITTED)
    | BAD_INPUT
    | NO_TOKEN
    | problem_answers({problems.CLIENT_BLOCKED: examples.BLOCKED} | FORBIDDEN_TYPES, schema=DENIAL_OR_PROBLEM)
    | problem_answers({problems.QUOTA_EXCEEDED: examples.DENIED}, schema=ref("QuotaExceededResponse"))
    | problem_answers(UNDECIDED, schema=DENIAL_OR_PROBLEM)
    | ALWAYS,
)

peek_operation = extend_schema(
    operation_id="peek",
    tags=["checks"],
    summary="Preview a decision without counting it",
    description="Returns the decision that a check would return, and consumes nothing. The status is always 200.",
    parameters=[*rate_limit_headers(200), RETRY_OUTAGE, CHALLENGE],
    request=_CHECK_REQUEST,
    responses=json_answer("DecisionResponse", "The decision that a check would return now.", admitted=examples.ADMITTED)
    | BAD_INPUT
    | NO_TOKEN
    | FORBIDDEN
    | problem_answers({problems.STORE_UNAVAILABLE: {}, problems.RULESET_MISSING: {}})
    | ALWAYS,
)

batch_operation = extend_schema(
    operation_id="checkBatch",
    tags=["checks"],
    summary="Decide up to 1,000 requests in order",
    description=(
        "Decides each check independently, one after another, and counts the admitted ones: a hundred in each round "
        "trip to the store. If the store fails partway, the remaining checks are decided without it and marked as "
        "degraded."
    ),
    parameters=[CHALLENGE, RETRY_OUTAGE],
    request={JSON: OpenApiRequest(ref("BatchRequest"), examples=[OpenApiExample("Two checks", examples.BATCH)])},
    responses=json_answer("BatchResponse", "One result for each check.", results=examples.BATCH_RESULTS)
    | BAD_INPUT
    | NO_TOKEN
    | FORBIDDEN
    | problem_answers({problems.STORE_UNAVAILABLE: {}, problems.RULESET_MISSING: {}})
    | ALWAYS,
)

_CLIENT_PARAMETER = OpenApiParameter(
    "client",
    {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
    required=True,
    description="The client's key.",
)

_ATTRIBUTES_PARAMETER = OpenApiParameter(
    "attributes",
    ATTRIBUTES,
    style="deepObject",
    explode=True,
    description="Values of attributes, such as `attributes[ip]=192.0.2.7`: limits that count these attributes "
    "separately are shown for these values, and not without them.",
)

usage_operation = extend_schema(
    operation_id="usage",
    tags=["checks"],
    summary="Read the usage of a client",
    description="The current state of every limit that counts this client separately, on every endpoint. Consumes "
    "nothing.",
    parameters=[_CLIENT_PARAMETER, _ATTRIBUTES_PARAMETER, CHALLENGE, RETRY_OUTAGE],
    responses=json_answer("UsageResponse", "The current state of each limit.", usage=examples.USAGE)
    | problem_answers(
        {problems.INVALID_REQUEST: {"errors": {"client": ["must be given exactly once."]}}} | REJECTED_EARLY
    )
    | problem_answers({problems.NOT_ACCEPTABLE: {}})
    | NO_TOKEN
    | FORBIDDEN
    | problem_answers({problems.STORE_UNAVAILABLE: {}, problems.RULESET_MISSING: {}})
    | ALWAYS,
)

health_operation = extend_schema(
    operation_id="health",
    tags=["health"],
    summary="Check whether the server is alive",
    description="Does not depend on the store or the database.",
    responses=json_answer("HealthResponse", "Alive.", alive={"status": "ok"}) | ALWAYS,
)

readiness_operation = extend_schema(
    operation_id="readiness",
    tags=["health"],
    summary="Check whether the server can decide",
    description="`degraded` counts as ready: the server has rules; `missing` lists what is unavailable.",
    parameters=[RETRY_OUTAGE],
    responses=json_answer(
        "ReadinessResponse",
        "A ruleset is loaded.",
        ready={
            "status": "ready",
            "missing": [],
            "warnings": [],
            "ruleset": 17,
            "emergency_switch": False,
            "store_ruleset": 17,
        },
        degraded={
            "status": "degraded",
            "missing": ["store"],
            "warnings": [],
            "ruleset": 17,
            "emergency_switch": False,
            "store_ruleset": None,
        },
    )
    | problem_answers({problems.RULESET_MISSING: {"missing": ["ruleset"]}}, schema=ref("NotReadyResponse"))
    | ALWAYS,
)

# drf-spectacular passes this through unchanged; only its annotation is restricted to names.
WITH_OR_WITHOUT_TOKEN = cast(Sequence[str], [{"bearer": []}, {}])

metrics_operation = extend_schema(
    operation_id="metrics",
    tags=["health"],
    summary="Read the metrics, for Prometheus",
    description=(
        "Requires a token with the scope `metrics`, except for direct callers from a network in `METRICS_NETWORKS`. In "
        "the OpenMetrics format if the caller accepts it, otherwise in the older text format."
    ),
    auth=WITH_OR_WITHOUT_TOKEN,
    parameters=[CHALLENGE, RETRY_OUTAGE],
    responses={
        (200, media_type): OpenApiResponse(
            {"type": "string"}, "All metrics.", [OpenApiExample("text", examples.METRICS)]
        )
        for media_type in ("text/plain", "application/openmetrics-text")
    }
    | problem_answers(REJECTED_EARLY)
    | NO_TOKEN
    | problem_answers({problems.INSUFFICIENT_SCOPE: {}})
    | problem_answers({problems.STORE_UNAVAILABLE: {}, problems.RULESET_MISSING: {}})
    | ALWAYS,
)
