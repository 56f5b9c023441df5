"""The operations: what each takes, and every status with which it can answer."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiRequest, OpenApiResponse, extend_schema

from api import problems
from api.openapi import examples
from api.openapi.schemas import Schema, ref
from api.problems import ProblemType
from api.rendering import JSON, PROBLEM_JSON
from limits.domain.client import MAX_KEY_LENGTH

Responses = dict[tuple[int, str], OpenApiResponse]


def answer(schema: str, description: str, *, status: int = 200, **values: dict[str, Any]) -> Responses:
    """One status with a JSON body; ``values`` are examples by their names."""
    shown = [OpenApiExample(name, value) for name, value in values.items()]
    return {(status, JSON): OpenApiResponse(ref(schema), description, shown)}


def kinds(problems_: Mapping[ProblemType, dict[str, Any]], schema: Schema | None = None) -> Responses:
    """One status. Takes the kinds of problem that share it, with the members of their examples."""
    shown = [OpenApiExample(kind.title, examples.problem(kind, members)) for kind, members in problems_.items()]
    description = " Or: ".join(kind.title for kind in problems_)
    status = next(iter(problems_)).status
    return {(status, PROBLEM_JSON): OpenApiResponse(schema or ref("Problem"), description, shown)}


def _header(name: str, description: str, *statuses: int, kind: type = str, required: bool = False) -> OpenApiParameter:
    return OpenApiParameter(
        name, kind, OpenApiParameter.HEADER, required=required, description=description, response=list(statuses)
    )


ALWAYS = kinds({problems.METHOD_NOT_ALLOWED: {}}) | kinds({problems.INTERNAL_ERROR: {}})

REFUSED: dict[ProblemType, dict[str, Any]] = {problems.BAD_REQUEST: {}, problems.HOST_NOT_ALLOWED: {}}

BAD_INPUT = (
    kinds(
        {
            problems.INVALID_REQUEST: {"errors": {"cost": ["must be a whole number from 1 to 1,000,000."]}},
            problems.MALFORMED_BODY: {"errors": {"body": ["is empty."]}},
        }
        | REFUSED
    )
    | kinds({problems.NOT_ACCEPTABLE: {}})
    | kinds({problems.BODY_TOO_SLOW: {}})
    | kinds({problems.LENGTH_REQUIRED: {}})
    | kinds({problems.BODY_TOO_LARGE: {}})
    | kinds({problems.UNSUPPORTED_MEDIA_TYPE: {}})
)

NO_TOKEN = kinds({problems.MISSING_TOKEN: {}, problems.INVALID_TOKEN: {}})

_FORBIDDEN: dict[ProblemType, dict[str, Any]] = {problems.INSUFFICIENT_SCOPE: {}, problems.HTTPS_REQUIRED: {}}

FORBIDDEN = kinds(_FORBIDDEN)

_UNDECIDED = {problems.STORE_UNAVAILABLE: examples.UNDECIDED, problems.RULESET_MISSING: {}}
_DENIAL_OR_PROBLEM: Schema = {"anyOf": [ref("Denial"), ref("Problem")]}

_CHECK_REQUEST = {
    JSON: OpenApiRequest(
        {"oneOf": [ref("CheckByEndpoint"), ref("CheckByRoute")]},
        examples=[
            OpenApiExample("By endpoint", examples.BY_ENDPOINT),
            OpenApiExample("By method and path", examples.BY_ROUTE),
        ],
    )
}

_STATUS = OpenApiParameter(
    "status", int, enum=[200], description="200: every decision is answered with status 200; `allowed` tells."
)


def _rate_limit_headers(*statuses: int) -> list[OpenApiParameter]:
    """The fields of draft-ietf-httpapi-ratelimit-headers-11; absent where no limit is enforced."""
    return [
        _header("RateLimit-Policy", 'One item per enforced limit: `"pro-search:60s";q=100;w=60`.', *statuses),
        _header(
            "RateLimit",
            'One item per enforced limit, of a denial per denying limit: `"pro-search:60s";r=41;t=32`. `t`: seconds '
            "over which to spread what remains, of a denial the wait; absent where waiting cannot help.",
            *statuses,
        ),
    ]


CHALLENGE = _header("WWW-Authenticate", "A challenge by RFC 6750.", 401, required=True)
_RETRY_DENIED = _header("Retry-After", "In seconds; absent where waiting cannot help.", 429, kind=int)
RETRY_OUTAGE = _header("Retry-After", "In seconds.", 503, kind=int, required=True)

check_operation = extend_schema(
    operation_id="check",
    tags=["checks"],
    summary="Decide a request and count it",
    description="Decides whether a request may be served, and counts it where it may. A denied request costs nothing.",
    parameters=[_STATUS, *_rate_limit_headers(200, 429), _RETRY_DENIED, RETRY_OUTAGE, CHALLENGE],
    request=_CHECK_REQUEST,
    responses=answer("Decision", "Admitted; with `?status=200` every decision.", admitted=examples.ADMITTED)
    | BAD_INPUT
    | NO_TOKEN
    | kinds({problems.CLIENT_BLOCKED: examples.BLOCKED} | _FORBIDDEN, schema=_DENIAL_OR_PROBLEM)
    | kinds({problems.QUOTA_EXCEEDED: examples.DENIED}, schema=ref("QuotaExceeded"))
    | kinds(_UNDECIDED, schema=_DENIAL_OR_PROBLEM)
    | ALWAYS,
)

peek_operation = extend_schema(
    operation_id="peek",
    tags=["checks"],
    summary="Look without counting",
    description="Answers as a check would, and consumes nothing. Every decision is answered with status 200.",
    parameters=[*_rate_limit_headers(200), RETRY_OUTAGE, CHALLENGE],
    request=_CHECK_REQUEST,
    responses=answer("Decision", "What a check would say now.", admitted=examples.ADMITTED)
    | BAD_INPUT
    | NO_TOKEN
    | FORBIDDEN
    | kinds({problems.STORE_UNAVAILABLE: {}, problems.RULESET_MISSING: {}})
    | ALWAYS,
)

batch_operation = extend_schema(
    operation_id="checkBatch",
    tags=["checks"],
    summary="Decide up to 1,000 requests in order",
    description=(
        "Decides each check by itself, one after another, and counts those that are admitted: a hundred in each round "
        "trip to the store. If the store fails in the middle, the rest is decided without it and marked as degraded."
    ),
    parameters=[CHALLENGE, RETRY_OUTAGE],
    request={JSON: OpenApiRequest(ref("Batch"), examples=[OpenApiExample("Two checks", examples.BATCH)])},
    responses=answer("BatchResults", "One result for each check.", results=examples.BATCH_RESULTS)
    | BAD_INPUT
    | NO_TOKEN
    | FORBIDDEN
    | kinds({problems.STORE_UNAVAILABLE: {}, problems.RULESET_MISSING: {}})
    | ALWAYS,
)

_CLIENT_PARAMETER = OpenApiParameter(
    "client",
    {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
    required=True,
    description="The client's key.",
)

usage_operation = extend_schema(
    operation_id="usage",
    tags=["checks"],
    summary="Where the counters of a client stand",
    description="Every limit that counts this client by itself, on whichever endpoint. Consumes nothing.",
    parameters=[_CLIENT_PARAMETER, CHALLENGE, RETRY_OUTAGE],
    responses=answer("Usage", "Where they stand now.", usage=examples.USAGE)
    | kinds({problems.INVALID_REQUEST: {"errors": {"client": ["is needed, once."]}}} | REFUSED)
    | kinds({problems.NOT_ACCEPTABLE: {}})
    | NO_TOKEN
    | FORBIDDEN
    | kinds({problems.STORE_UNAVAILABLE: {}, problems.RULESET_MISSING: {}})
    | ALWAYS,
)

health_operation = extend_schema(
    operation_id="health",
    tags=["health"],
    summary="Whether the server is alive",
    description="Asks nothing of anybody else.",
    responses=answer("Health", "Alive.", alive={"status": "ok"}) | ALWAYS,
)

readiness_operation = extend_schema(
    operation_id="readiness",
    tags=["health"],
    summary="Whether the server can decide",
    description="`degraded` is ready too: the server holds rules, and says what it lacks.",
    parameters=[RETRY_OUTAGE],
    responses=answer(
        "Readiness",
        "A ruleset is held.",
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
    | kinds({problems.RULESET_MISSING: {"missing": ["ruleset"]}}, schema=ref("NotReady"))
    | ALWAYS,
)

# drf-spectacular hands it on as it is; its annotation knows names only.
_WITH_OR_WITHOUT_TOKEN = cast(Sequence[str], [{"bearer": []}, {}])

metrics_operation = extend_schema(
    operation_id="metrics",
    tags=["health"],
    summary="The metrics, for Prometheus",
    description=(
        "For a token with the scope `metrics`, and for direct callers from a network of `METRICS_NETWORKS`, who need "
        "none. OpenMetrics for who accepts it, else the older text format."
    ),
    auth=_WITH_OR_WITHOUT_TOKEN,
    parameters=[CHALLENGE, RETRY_OUTAGE],
    responses={
        (200, media_type): OpenApiResponse(
            {"type": "string"}, "All metrics.", [OpenApiExample("text", examples.METRICS)]
        )
        for media_type in ("text/plain", "application/openmetrics-text")
    }
    | kinds(REFUSED)
    | NO_TOKEN
    | kinds({problems.INSUFFICIENT_SCOPE: {}})
    | kinds({problems.STORE_UNAVAILABLE: {}, problems.RULESET_MISSING: {}})
    | ALWAYS,
)
