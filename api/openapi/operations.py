"""The operations: what each takes, and every status with which it can answer."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiRequest, OpenApiResponse, extend_schema

from api import problems
from api.openapi import examples
from api.openapi.schemas import Schema, ref
from api.problems import ProblemType
from api.rendering import JSON, PROBLEM_JSON

Responses = dict[tuple[int, str], OpenApiResponse]


def _answer(schema: str, description: str, **values: dict[str, Any]) -> Responses:
    shown = [OpenApiExample(name, value) for name, value in values.items()]
    return {(200, JSON): OpenApiResponse(ref(schema), description, shown)}


def _problems(kinds: Mapping[ProblemType, dict[str, Any]], schema: Schema | None = None) -> Responses:
    """One status. Takes the kinds of problem that share it, with the members of their examples."""
    shown = [OpenApiExample(kind.title, examples.problem(kind, members)) for kind, members in kinds.items()]
    description = " Or: ".join(kind.title for kind in kinds)
    status = next(iter(kinds)).status
    return {(status, PROBLEM_JSON): OpenApiResponse(schema or ref("Problem"), description, shown)}


def _header(name: str, description: str, *statuses: int, kind: type = str, required: bool = False) -> OpenApiParameter:
    return OpenApiParameter(
        name, kind, OpenApiParameter.HEADER, required=required, description=description, response=list(statuses)
    )


_ALWAYS = _problems({problems.METHOD_NOT_ALLOWED: {}}) | _problems({problems.INTERNAL_ERROR: {}})

_BAD_INPUT = (
    _problems(
        {
            problems.INVALID_REQUEST: {"errors": {"cost": ["must be a whole number from 1 to 1,000,000."]}},
            problems.MALFORMED_BODY: {"errors": {"body": ["is empty."]}},
            problems.BAD_REQUEST: {},
        }
    )
    | _problems({problems.NOT_ACCEPTABLE: {}})
    | _problems({problems.LENGTH_REQUIRED: {}})
    | _problems({problems.BODY_TOO_LARGE: {}})
    | _problems({problems.UNSUPPORTED_MEDIA_TYPE: {}})
)

_NO_TOKEN = _problems({problems.MISSING_TOKEN: {}, problems.INVALID_TOKEN: {}})

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
        _header("RateLimit", 'One item per enforced limit: `"pro-search:60s";r=41;t=1`.', *statuses),
    ]


_CHALLENGE = _header("WWW-Authenticate", "A challenge by RFC 6750.", 401, required=True)
_RETRY_DENIED = _header("Retry-After", "In seconds; absent where waiting cannot help.", 429, kind=int)
_RETRY_OUTAGE = _header("Retry-After", "In seconds.", 503, kind=int, required=True)

check_operation = extend_schema(
    operation_id="check",
    tags=["checks"],
    summary="Decide a request and count it",
    description="Decides whether a request may be served, and counts it where it may. A denied request costs nothing.",
    parameters=[_STATUS, *_rate_limit_headers(200, 429), _RETRY_DENIED, _RETRY_OUTAGE, _CHALLENGE],
    request=_CHECK_REQUEST,
    responses=_answer("Decision", "Admitted; with `?status=200` every decision.", admitted=examples.ADMITTED)
    | _BAD_INPUT
    | _NO_TOKEN
    | _problems({problems.CLIENT_BLOCKED: examples.BLOCKED, problems.INSUFFICIENT_SCOPE: {}}, schema=_DENIAL_OR_PROBLEM)
    | _problems({problems.QUOTA_EXCEEDED: examples.DENIED}, schema=ref("QuotaExceeded"))
    | _problems(_UNDECIDED, schema=_DENIAL_OR_PROBLEM)
    | _ALWAYS,
)

peek_operation = extend_schema(
    operation_id="peek",
    tags=["checks"],
    summary="Look without counting",
    description="Answers as a check would, and consumes nothing. Every decision is answered with status 200.",
    parameters=[*_rate_limit_headers(200), _RETRY_OUTAGE, _CHALLENGE],
    request=_CHECK_REQUEST,
    responses=_answer("Decision", "What a check would say now.", admitted=examples.ADMITTED)
    | _BAD_INPUT
    | _NO_TOKEN
    | _problems({problems.INSUFFICIENT_SCOPE: {}})
    | _problems({problems.STORE_UNAVAILABLE: {}, problems.RULESET_MISSING: {}})
    | _ALWAYS,
)

_REFUSED = _problems({problems.BAD_REQUEST: {}})

health_operation = extend_schema(
    operation_id="health",
    tags=["health"],
    summary="Whether the server is alive",
    description="Asks nothing of anybody else.",
    responses=_answer("Health", "Alive.", alive={"status": "ok"}) | _REFUSED | _ALWAYS,
)

readiness_operation = extend_schema(
    operation_id="readiness",
    tags=["health"],
    summary="Whether the server can decide",
    description="`degraded` is ready too: the server holds rules, and says what it lacks.",
    parameters=[_RETRY_OUTAGE],
    responses=_answer(
        "Readiness",
        "A ruleset is held.",
        ready={"status": "ready", "missing": []},
        degraded={"status": "degraded", "missing": ["store"]},
    )
    | _REFUSED
    | _problems({problems.RULESET_MISSING: {"missing": ["ruleset"]}}, schema=ref("NotReady"))
    | _ALWAYS,
)
