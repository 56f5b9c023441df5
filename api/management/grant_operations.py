"""OpenAPI descriptions of the operations on grants: their parameters, and all their possible statuses."""

from typing import Any

from drf_spectacular.utils import extend_schema

from api import problems
from api.management.operation_parts import (
    BAD_QUERY,
    COMMON,
    UNKNOWN,
    id_parameter,
    id_schema,
    idempotency_key,
    limit_parameter,
    query,
    request_body,
)
from api.openapi.operations import (
    BAD_INPUT,
    CHALLENGE,
    RETRY_OUTAGE,
    json_answer,
    problem_answers,
)
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

_ID = id_parameter("grant", "The id of the grant.")
_KEY = idempotency_key("creates one grant")
_NOT_LIVE = json_answer(
    "GrantChangeResponse", "Saved; goes live once Redis is available again.", status=202, later=_LATER
)


list_operation = extend_schema(
    operation_id="listGrants",
    tags=["grants"],
    summary="List the grants",
    description="In the order of their ids, ended ones too. `next` is the URL of the next page; null on the last page.",
    parameters=[
        limit_parameter("Grants"),
        query("after", "Only grants with higher ids.", id_schema()),
        query("client", "Only of this client.", {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH}),
        query("policy", "Only on this policy (the slug).", {"type": "string"}),
        CHALLENGE,
        RETRY_OUTAGE,
    ],
    responses=json_answer("GrantsResponse", "A page of grants.", page={"grants": [_GRANT], "next": None})
    | BAD_QUERY
    | COMMON,
)

create_operation = extend_schema(
    operation_id="createGrant",
    tags=["grants"],
    summary="Grant a client units beyond its quota",
    description="The units are used after the quota of the policy's longest calendar period; what is not used remains "
    "available in the next periods, until the grant ends. Responds when the grant is live on every server.",
    parameters=[_KEY, CHALLENGE, RETRY_OUTAGE],
    request=request_body("GrantRequest", sold=_REQUEST),
    responses=json_answer("GrantChangeResponse", "Created and live.", status=201, grant=_NEW)
    | _NOT_LIVE
    | BAD_INPUT
    | problem_answers({problems.KEY_REUSED: {}})
    | COMMON,
)

read_operation = extend_schema(
    operation_id="readGrant",
    tags=["grants"],
    summary="Read a grant",
    description="Its fields, and what was used of it, as of the last few seconds.",
    parameters=[_ID, CHALLENGE, RETRY_OUTAGE],
    responses=json_answer("GrantResponse", "The grant.", grant=_GRANT) | BAD_QUERY | UNKNOWN | COMMON,
)

put_operation = extend_schema(
    operation_id="putGrant",
    tags=["grants"],
    summary="Change a grant",
    description="Replaces amount, end, priority and reason. The amount cannot be below what is used. Client, policy "
    "and start cannot be changed, and may be omitted.",
    parameters=[_ID, CHALLENGE, RETRY_OUTAGE],
    request=request_body("GrantChangeRequest", extended=_CHANGE),
    responses=json_answer("GrantChangeResponse", "Changed and live.", grant=_CHANGED)
    | _NOT_LIVE
    | BAD_INPUT
    | UNKNOWN
    | COMMON,
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
    | BAD_QUERY
    | UNKNOWN
    | COMMON,
)
