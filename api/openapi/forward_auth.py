"""OpenAPI descriptions of the operations for proxies: their parameters, and all their possible statuses."""

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from api import problems
from api.openapi import examples
from api.openapi.operations import (
    CHALLENGE,
    DENIAL_OR_PROBLEM,
    RETRY_DENIED,
    RETRY_OUTAGE,
    UNDECIDED,
    WITH_OR_WITHOUT_TOKEN,
    Responses,
    problem_answers,
    rate_limit_headers,
)
from api.openapi.schemas import ref

_ACCESS = (
    "Requires a token with the scope `check` in the header `X-RateLimit-Token`, except for proxies in a network of "
    "`FORWARD_AUTH_NETWORKS`. Answers every method."
)


def _header(name: str, description: str, example: str) -> OpenApiParameter:
    return OpenApiParameter(
        name, str, OpenApiParameter.HEADER, description=description, examples=[OpenApiExample("header", example)]
    )


_TOKEN = _header("X-RateLimit-Token", "The token of the proxy.", "rl_…")
_FORWARDED_FOR = _header(
    "X-Forwarded-For", "The address of the caller; required unless `NUM_PROXIES` is 0.", "192.0.2.7"
)
_BY_HEADERS = [
    _header("X-Forwarded-Method", "Traefik and Caddy: the original method.", "GET"),
    _header("X-Forwarded-Uri", "Traefik and Caddy: the original path and query.", "/api/products/search?q=tea"),
    _header("X-Original-Method", "nginx: the original method.", "GET"),
    _header("X-Original-URI", "nginx: the original path and query.", "/api/products/search?q=tea"),
]
_PROXY = OpenApiParameter(
    "proxy", str, OpenApiParameter.PATH, enum=["traefik", "caddy", "nginx"], description="The proxy that asks."
)
_PATH = OpenApiParameter(
    "path", str, OpenApiParameter.PATH, description="The original path; the query after it is ignored."
)
_DENIED = OpenApiParameter(
    "denied",
    int,
    enum=[403],
    description="Not for Caddy. 403: a denial has status 403, and `X-RateLimit-Status` is 429 or 503.",
)
_STATUS = OpenApiParameter(
    "X-RateLimit-Status",
    int,
    OpenApiParameter.HEADER,
    description="With `?denied=403`: the status of the denial, 429 or 503.",
    response=[403],
)
_ANSWERS: Responses = (
    {(200, "*/*"): OpenApiResponse(None, "Admitted: forward the request, and copy the rate limit headers.")}
    | problem_answers(
        {problems.INVALID_REQUEST: {"errors": {"X-Forwarded-Uri": ["is required."]}}, problems.BAD_REQUEST: {}}
    )
    | problem_answers({problems.MISSING_TOKEN: {}, problems.INVALID_TOKEN: {}})
    | problem_answers(
        {problems.CLIENT_BLOCKED: examples.BLOCKED, problems.INSUFFICIENT_SCOPE: {}}, schema=DENIAL_OR_PROBLEM
    )
    | problem_answers({problems.QUOTA_EXCEEDED: examples.DENIED}, schema=ref("QuotaExceededResponse"))
    | problem_answers(UNDECIDED, schema=DENIAL_OR_PROBLEM)
    | problem_answers({problems.INTERNAL_ERROR: {}})
)
_COMMON = [_TOKEN, _FORWARDED_FOR, *rate_limit_headers(200, 403, 429), RETRY_DENIED, RETRY_OUTAGE, CHALLENGE]

forward_auth_operation = extend_schema(
    operation_id="forwardAuth",
    tags=["checks"],
    summary="Decide a request that Traefik, Caddy or nginx asks about",
    description=f"For `ForwardAuth` of Traefik, `forward_auth` of Caddy and `auth_request` of nginx. {_ACCESS}",
    auth=WITH_OR_WITHOUT_TOKEN,
    parameters=[_PROXY, _DENIED, *_BY_HEADERS, *_COMMON, _STATUS],
    responses=_ANSWERS | problem_answers({problems.NOT_FOUND: {}}),
)

envoy_operation = extend_schema(
    operation_id="forwardAuthEnvoy",
    tags=["checks"],
    summary="Decide a request that Envoy asks about",
    description=f"For `ext_authz` of Envoy over HTTP, with the `path_prefix` `/v1/forward-auth/envoy`. {_ACCESS}",
    auth=WITH_OR_WITHOUT_TOKEN,
    parameters=[_PATH, *_COMMON],
    responses=_ANSWERS,
)
