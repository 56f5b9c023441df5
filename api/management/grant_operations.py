"""OpenAPI descriptions of the operations on grants: their parameters, and all their possible statuses."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiRequest, extend_schema

from api import problems
from api.idempotency import HEADER, MAX_LENGTH
from api.management.grant_requests import MAX_ID
from api.management.requests import MAX_PAGE_SIZE, PAGE_SIZE
from api.openapi.operations import (
    ALWAYS,
    BAD_INPUT,
    CHALLENGE,
    FORBIDDEN,
    NO_TOKEN,
    REJECTED_EARLY,
    RETRY_OUTAGE,
    Responses,
    json_answer,
    problem_answers,
)
from api.openapi.schemas import ref
from api.rendering import JSON
from ratelimit_enforcer.domain.client import MAX_KEY_LENGTH

_REQUEST: dict[str, Any] = {
    "client": "acme",
    "policy": "free-total",
    "amount": 10_000,
    "until": "2027-01-01T00:00:00Z",
    "reason": "Order 2026-118.",
}
_CHANGE = {"amount": 20_000, "until": "2027-02-01T00:00:00Z", "reason": "Order 2026-118, extended."}
_GRANT: dict[str, Any] = {
    "id": 12,
    **_REQUEST,
    "from": "2026-12-01T00:00:00Z",
    "priority": 0,
    "state": "active",
    "consumed": 420,
    "returned": 20,
    "remaining": 9_600,
    "author": "token back-office",
    "created_at": "2026-12-01T00:00:00Z",
}
_NEW = {**_GRANT, "consumed": 0, "returned": 0, "remaining": 10_000, "live": True}
_CHANGED = {**_GRANT, **_CHANGE, "remaining": 19_600, "live": True}
_ENDED = {**_GRANT, "until": "2026-12-10T09:30:00Z", "state": "ended", "remaining": 0, "live": True}
_LATER = {**_NEW, "live": False, "detail": "Redis is unavailable; the change will go live automatically."}

_ID = OpenApiParameter(
    "grant",
    {"type": "integer", "minimum": 1, "maximum": MAX_ID},
    OpenApiParameter.PATH,
    description="The id of the grant.",
)
_KEY = OpenApiParameter(
    HEADER,
    {"type": "string", "maxLength": MAX_LENGTH, "pattern": "^[!-~]( *[!-~])*$"},
    OpenApiParameter.HEADER,
    description="A request with the same token and key creates one grant within 24 hours, on any server. Visible ASCII "
    "characters, or a string in quotes as in draft-ietf-httpapi-idempotency-key-header.",
)
_COMMON: Responses = (
    NO_TOKEN
    | FORBIDDEN
    | problem_answers(
        {
            problems.STORE_UNAVAILABLE: {},
            problems.RULESET_MISSING: {},
            problems.DATABASE_UNAVAILABLE: {},
            problems.OVERLOADED: {},
        }
    )
    | ALWAYS
)
_BAD_QUERY = problem_answers({problems.INVALID_REQUEST: {}} | REJECTED_EARLY) | problem_answers(
    {problems.NOT_ACCEPTABLE: {}}
)
_UNKNOWN = problem_answers({problems.NOT_FOUND: {}})
_NOT_LIVE = json_answer(
    "GrantChangeResponse", "Saved; goes live once Redis is available again.", status=202, later=_LATER
)


def _request_body(schema: str, name: str, body: dict[str, Any]) -> dict[str, OpenApiRequest]:
    return {JSON: OpenApiRequest(ref(schema), examples=[OpenApiExample(name, body)])}


def _query(name: str, schema: dict[str, Any], description: str) -> OpenApiParameter:
    return OpenApiParameter(name, schema, description=description)


list_operation = extend_schema(
    operation_id="listGrants",
    tags=["grants"],
    summary="List the grants",
    description="In the order of their ids, ended ones too. `next` is the URL of the next page; null on the last page.",
    parameters=[
        _query(
            "limit",
            {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE},
            "Grants per page.",
        ),
        _query("after", {"type": "integer", "minimum": 1, "maximum": MAX_ID}, "Only grants with higher ids."),
        _query("client", {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH}, "Only of this client."),
        _query("policy", {"type": "string"}, "Only on this policy (the slug)."),
        CHALLENGE,
        RETRY_OUTAGE,
    ],
    responses=json_answer("GrantsResponse", "A page of grants.", page={"grants": [_GRANT], "next": None})
    | _BAD_QUERY
    | _COMMON,
)

create_operation = extend_schema(
    operation_id="createGrant",
    tags=["grants"],
    summary="Grant a client units beyond its quota",
    description="The units are used after the quota of the policy's longest calendar period; what is not used remains "
    "available in the next periods, until the grant ends. Responds when the grant is live on every server.",
    parameters=[_KEY, CHALLENGE, RETRY_OUTAGE],
    request=_request_body("GrantRequest", "sold", _REQUEST),
    responses=json_answer("GrantChangeResponse", "Created and live.", status=201, grant=_NEW)
    | _NOT_LIVE
    | BAD_INPUT
    | problem_answers({problems.KEY_REUSED: {}})
    | _COMMON,
)

read_operation = extend_schema(
    operation_id="readGrant",
    tags=["grants"],
    summary="Read a grant",
    description="Its fields, and what was used of it, as of the last few seconds.",
    parameters=[_ID, CHALLENGE, RETRY_OUTAGE],
    responses=json_answer("GrantResponse", "The grant.", grant=_GRANT) | _BAD_QUERY | _UNKNOWN | _COMMON,
)

put_operation = extend_schema(
    operation_id="putGrant",
    tags=["grants"],
    summary="Change a grant",
    description="Replaces amount, end, priority and reason. The amount cannot be below what is used. Client, policy "
    "and start cannot be changed, and may be omitted.",
    parameters=[_ID, CHALLENGE, RETRY_OUTAGE],
    request=_request_body("GrantChangeRequest", "extended", _CHANGE),
    responses=json_answer("GrantChangeResponse", "Changed and live.", grant=_CHANGED)
    | _NOT_LIVE
    | BAD_INPUT
    | _UNKNOWN
    | _COMMON,
)

delete_operation = extend_schema(
    operation_id="endGrant",
    tags=["grants"],
    summary="End a grant",
    description="A grant of which nothing was used is removed (204); any other stays with its figures, and ends now.",
    parameters=[_ID, CHALLENGE, RETRY_OUTAGE],
    responses={204: None}
    | json_answer("GrantChangeResponse", "Ended and live.", grant=_ENDED)
    | _NOT_LIVE
    | _BAD_QUERY
    | _UNKNOWN
    | _COMMON,
)
