"""OpenAPI descriptions of the operations on clients: their parameters, and all their possible statuses."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema

from api import problems
from api.management.operation_parts import BAD_QUERY, COMMON, UNKNOWN, limit_parameter, query, request_body
from api.openapi.operations import (
    BAD_INPUT,
    CHALLENGE,
    RETRY_OUTAGE,
    json_answer,
    problem_answers,
)
from api.openapi.schemas import TAG
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
_NOT_LIVE = json_answer(
    "ClientSavedResponse", "Saved; goes live once Redis is available again.", status=202, later=_LATER
)


_KEY_TEXT: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH}


list_operation = extend_schema(
    operation_id="listClients",
    tags=["clients"],
    summary="List the registered clients",
    description="In the order of the keys. `next` is the URL of the next page; null on the last page.",
    parameters=[
        limit_parameter("Clients"),
        query("after", "Only clients whose keys come after this one.", _KEY_TEXT),
        query("plan", "Only clients on this plan (the slug).", {"type": "string"}),
        query("status", "Only clients with this status.", {"type": "string", "enum": list(ClientStatus)}),
        query("tag", "Only clients with all of these tags.", {"type": "array", "items": TAG, "maxItems": MAX_TAGS}),
        query("prefix", "Only clients whose key begins with this text.", _KEY_TEXT),
        query("parent", "Only clients whose parent has this key.", _KEY_TEXT),
        CHALLENGE,
        RETRY_OUTAGE,
    ],
    responses=json_answer("ClientsResponse", "A page of clients.", page={"clients": [_CLIENT], "next": None})
    | BAD_QUERY
    | COMMON,
)

read_operation = extend_schema(
    operation_id="readClient",
    tags=["clients"],
    summary="Read a registered client",
    description="The client's own fields. `plan` is null for a client on the default plan, and for a client that is "
    "limited by its ancestors alone.",
    parameters=[_KEY, CHALLENGE, RETRY_OUTAGE],
    responses=json_answer("ClientResponse", "The client.", client=_CLIENT) | BAD_QUERY | UNKNOWN | COMMON,
)

put_operation = extend_schema(
    operation_id="putClient",
    tags=["clients"],
    summary="Register or replace a client",
    description="Omitted fields get their default values. Responds when the change is live on every server.",
    parameters=[_KEY, CHALLENGE, RETRY_OUTAGE],
    request=request_body("ClientRequest", ClientRequest={"name": "Acme Ltd", "plan": "pro"}),
    responses=json_answer("ClientSavedResponse", "Replaced and live.", client=_SAVED)
    | json_answer("ClientSavedResponse", "Registered and live.", status=201, client=_SAVED)
    | _NOT_LIVE
    | BAD_INPUT
    | UNKNOWN
    | COMMON,
)

change_operation = extend_schema(
    operation_id="changeClient",
    tags=["clients"],
    summary="Change some fields of a client",
    description="Omitted fields keep their values. Responds when the change is live on every server.",
    parameters=[_KEY, CHALLENGE, RETRY_OUTAGE],
    request=request_body("ClientRequest", ClientRequest={"status": "blocked"}),
    responses=json_answer("ClientSavedResponse", "Changed and live.", client=_SAVED | {"status": "blocked"})
    | _NOT_LIVE
    | BAD_INPUT
    | UNKNOWN
    | COMMON,
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
    | BAD_QUERY
    | UNKNOWN
    | problem_answers({problems.HAS_CHILDREN: {}})
    | COMMON,
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
    request=request_body("ResetRequest", ResetRequest={"reason": "Load test by the shop."}),
    responses=json_answer(
        "ResetResponse", "The counters are reset.", done={"client": "acme", "reason": "Load test by the shop."}
    )
    | BAD_INPUT
    | UNKNOWN
    | COMMON,
)
