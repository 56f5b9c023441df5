"""The operations on clients: what each takes, and every status with which it can answer."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiRequest, extend_schema

from api import problems
from api.management.requests import MAX_PAGE, PAGE
from api.openapi.operations import (
    ALWAYS,
    BAD_INPUT,
    CHALLENGE,
    FORBIDDEN,
    NO_TOKEN,
    REFUSED,
    RETRY_OUTAGE,
    Responses,
    answer,
    kinds,
)
from api.openapi.schemas import ref
from api.rendering import JSON
from limits.domain.client import MAX_KEY_LENGTH
from limits.domain.words import ClientStatus

_CLIENT: dict[str, Any] = {"key": "acme", "name": "Acme Ltd", "plan": "pro", "status": "active"}
_SAVED = {**_CLIENT, "live": True}
_LATER = {
    **_CLIENT,
    "live": False,
    "detail": "Redis cannot be reached; the change goes live by itself when it can.",
}
_KEY = OpenApiParameter(
    "key",
    {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
    OpenApiParameter.PATH,
    description="The client's key, percent-encoded.",
)
_COMMON: Responses = (
    NO_TOKEN
    | FORBIDDEN
    | kinds(
        {
            problems.STORE_UNAVAILABLE: {},
            problems.RULESET_MISSING: {},
            problems.DATABASE_UNAVAILABLE: {},
            problems.OVERLOADED: {},
        }
    )
    | ALWAYS
)
_BAD_QUERY = kinds({problems.INVALID_REQUEST: {}} | REFUSED) | kinds({problems.NOT_ACCEPTABLE: {}})
_UNKNOWN = kinds({problems.NOT_FOUND: {}})
_NOT_LIVE = answer("ClientChange", "Saved; it goes live when Redis can be reached again.", status=202, later=_LATER)


def _takes(schema: str, example: dict[str, Any]) -> dict[str, OpenApiRequest]:
    return {JSON: OpenApiRequest(ref(schema), examples=[OpenApiExample(schema, example)])}


def _query(name: str, schema: dict[str, Any], description: str) -> OpenApiParameter:
    return OpenApiParameter(name, schema, description=description)


list_operation = extend_schema(
    operation_id="listClients",
    tags=["clients"],
    summary="List the registered clients",
    description="In the order of their keys. `next` is the address of the next page; null on the last one.",
    parameters=[
        _query("limit", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": PAGE}, "Clients on a page."),
        _query("after", {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH}, "Keys that come after this."),
        _query("plan", {"type": "string"}, "Only those of this plan (its slug)."),
        _query("status", {"type": "string", "enum": list(ClientStatus)}, "Only those of this status."),
        CHALLENGE,
        RETRY_OUTAGE,
    ],
    responses=answer("Clients", "A page.", page={"clients": [_CLIENT], "next": None}) | _BAD_QUERY | _COMMON,
)

read_operation = extend_schema(
    operation_id="readClient",
    tags=["clients"],
    summary="Read a registered client",
    parameters=[_KEY, CHALLENGE, RETRY_OUTAGE],
    responses=answer("Client", "The client.", client=_CLIENT) | _BAD_QUERY | _UNKNOWN | _COMMON,
)

put_operation = extend_schema(
    operation_id="putClient",
    tags=["clients"],
    summary="Register a client, or replace it",
    description="Fields that are left out get their defaults. Answers when every server decides by it.",
    parameters=[_KEY, CHALLENGE, RETRY_OUTAGE],
    request=_takes("ClientFields", {"name": "Acme Ltd", "plan": "pro"}),
    responses=answer("ClientChange", "Replaced and live.", client=_SAVED)
    | answer("ClientChange", "Registered and live.", status=201, client=_SAVED)
    | _NOT_LIVE
    | BAD_INPUT
    | _UNKNOWN
    | _COMMON,
)

change_operation = extend_schema(
    operation_id="changeClient",
    tags=["clients"],
    summary="Change some fields of a client",
    parameters=[_KEY, CHALLENGE, RETRY_OUTAGE],
    request=_takes("ClientFields", {"status": "blocked"}),
    responses=answer("ClientChange", "Changed and live.", client=_SAVED | {"status": "blocked"})
    | _NOT_LIVE
    | BAD_INPUT
    | _UNKNOWN
    | _COMMON,
)

remove_operation = extend_schema(
    operation_id="removeClient",
    tags=["clients"],
    summary="Remove a client",
    description="From then on its requests are those of a client that nobody registered: on the default plan.",
    parameters=[_KEY, CHALLENGE, RETRY_OUTAGE],
    responses={204: None}
    | answer(
        "ClientRemoval",
        "Removed; it goes live when Redis can be reached again.",
        status=202,
        later={"key": "acme", "live": False, "detail": _LATER["detail"]},
    )
    | _BAD_QUERY
    | _UNKNOWN
    | _COMMON,
)

reset_operation = extend_schema(
    operation_id="resetClient",
    tags=["clients"],
    summary="Forget the counters of a client",
    description=(
        "The client begins anew on every endpoint, registered or not. What all clients share (global policies) "
        "stays. The reason is recorded."
    ),
    parameters=[_KEY, CHALLENGE, RETRY_OUTAGE],
    request=_takes("Reset", {"reason": "The shop's own load test."}),
    responses=answer("ResetDone", "Forgotten.", done={"client": "acme", "reason": "The shop's own load test."})
    | BAD_INPUT
    | _UNKNOWN
    | _COMMON,
)
