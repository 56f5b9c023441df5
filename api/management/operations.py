"""OpenAPI descriptions of the operations on clients: their parameters, and all their possible statuses."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiRequest, extend_schema

from api import problems
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
from api.openapi.schemas import TAG, ref
from api.rendering import JSON
from ratelimit_enforcer.domain.client import MAX_KEY_LENGTH
from ratelimit_enforcer.domain.enums import ClientStatus
from ratelimit_enforcer.domain.validation import MAX_TAGS

_CLIENT: dict[str, Any] = {
    "key": "acme",
    "name": "Acme Ltd",
    "plan": "pro",
    "status": "active",
    "tags": ["eu", "wholesale"],
    "parent": None,
}
_SAVED = {**_CLIENT, "live": True}
_LATER = {
    **_CLIENT,
    "live": False,
    "detail": "Redis is unavailable; the change will go live automatically.",
}
_KEY = OpenApiParameter(
    "key",
    {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
    OpenApiParameter.PATH,
    description="The key of the client, percent-encoded.",
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
    "ClientSavedResponse", "Saved; goes live once Redis is available again.", status=202, later=_LATER
)


def _request_body(schema: str, example: dict[str, Any]) -> dict[str, OpenApiRequest]:
    return {JSON: OpenApiRequest(ref(schema), examples=[OpenApiExample(schema, example)])}


_KEY_TEXT: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH}


def _query(name: str, schema: dict[str, Any], description: str) -> OpenApiParameter:
    return OpenApiParameter(name, schema, description=description)


list_operation = extend_schema(
    operation_id="listClients",
    tags=["clients"],
    summary="List the registered clients",
    description="In the order of the keys. `next` is the URL of the next page; null on the last page.",
    parameters=[
        _query(
            "limit",
            {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE},
            "Clients per page.",
        ),
        _query("after", _KEY_TEXT, "Only clients whose keys come after this one."),
        _query("plan", {"type": "string"}, "Only clients on this plan (the slug)."),
        _query("status", {"type": "string", "enum": list(ClientStatus)}, "Only clients with this status."),
        _query("tag", {"type": "array", "items": TAG, "maxItems": MAX_TAGS}, "Only clients with all of these tags."),
        _query("prefix", _KEY_TEXT, "Only clients whose key begins with this text."),
        _query("parent", _KEY_TEXT, "Only clients whose parent has this key."),
        CHALLENGE,
        RETRY_OUTAGE,
    ],
    responses=json_answer("ClientsResponse", "A page of clients.", page={"clients": [_CLIENT], "next": None})
    | _BAD_QUERY
    | _COMMON,
)

read_operation = extend_schema(
    operation_id="readClient",
    tags=["clients"],
    summary="Read a registered client",
    description="The client's own fields. `plan` is null for a client on the default plan, and for a client that is "
    "limited by its ancestors alone.",
    parameters=[_KEY, CHALLENGE, RETRY_OUTAGE],
    responses=json_answer("ClientResponse", "The client.", client=_CLIENT) | _BAD_QUERY | _UNKNOWN | _COMMON,
)

put_operation = extend_schema(
    operation_id="putClient",
    tags=["clients"],
    summary="Register or replace a client",
    description="Omitted fields get their default values. Responds when the change is live on every server.",
    parameters=[_KEY, CHALLENGE, RETRY_OUTAGE],
    request=_request_body("ClientRequest", {"name": "Acme Ltd", "plan": "pro"}),
    responses=json_answer("ClientSavedResponse", "Replaced and live.", client=_SAVED)
    | json_answer("ClientSavedResponse", "Registered and live.", status=201, client=_SAVED)
    | _NOT_LIVE
    | BAD_INPUT
    | _UNKNOWN
    | _COMMON,
)

change_operation = extend_schema(
    operation_id="changeClient",
    tags=["clients"],
    summary="Change some fields of a client",
    description="Omitted fields keep their values. Responds when the change is live on every server.",
    parameters=[_KEY, CHALLENGE, RETRY_OUTAGE],
    request=_request_body("ClientRequest", {"status": "blocked"}),
    responses=json_answer("ClientSavedResponse", "Changed and live.", client=_SAVED | {"status": "blocked"})
    | _NOT_LIVE
    | BAD_INPUT
    | _UNKNOWN
    | _COMMON,
)

remove_operation = extend_schema(
    operation_id="removeClient",
    tags=["clients"],
    summary="Remove a client",
    description="From then on, the client counts as unregistered and is on the default plan.",
    parameters=[_KEY, CHALLENGE, RETRY_OUTAGE],
    responses={204: None}
    | json_answer(
        "ClientDeletedResponse",
        "Removed; goes live once Redis is available again.",
        status=202,
        later={"key": "acme", "live": False, "detail": _LATER["detail"]},
    )
    | _BAD_QUERY
    | _UNKNOWN
    | problem_answers({problems.HAS_CHILDREN: {}})
    | _COMMON,
)

reset_operation = extend_schema(
    operation_id="resetClient",
    tags=["clients"],
    summary="Reset the counters of a client",
    description=(
        "Deletes the counters of the client, registered or not, on every endpoint, and frees the places of its "
        "concurrent requests. The counters of its ancestors, and those of global policies, which all clients share, "
        "are not affected. Reservations made before refund nothing when they are "
        "settled. The reason is recorded."
    ),
    parameters=[_KEY, CHALLENGE, RETRY_OUTAGE],
    request=_request_body("ResetRequest", {"reason": "Load test by the shop."}),
    responses=json_answer(
        "ResetResponse", "The counters are reset.", done={"client": "acme", "reason": "Load test by the shop."}
    )
    | BAD_INPUT
    | _UNKNOWN
    | _COMMON,
)
