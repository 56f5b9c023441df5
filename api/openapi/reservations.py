"""OpenAPI descriptions of the operations on reservations: their parameters, and all their possible statuses."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiRequest, OpenApiResponse, extend_schema

from api import problems
from api.idempotency import HEADER, MAX_LENGTH
from api.openapi import examples
from api.openapi.operations import (
    ALWAYS,
    BAD_INPUT,
    CHALLENGE,
    DENIAL_OR_PROBLEM,
    FORBIDDEN,
    FORBIDDEN_TYPES,
    NO_TOKEN,
    REJECTED_EARLY,
    RETRY_DENIED,
    RETRY_OUTAGE,
    STATUS,
    UNDECIDED,
    Responses,
    json_answer,
    problem_answers,
    rate_limit_headers,
)
from api.openapi.schemas import ref
from api.rendering import JSON

_ID = "AFWc5kZ1uMwPb0fJ3t-xvQ2i"
_MADE = {"reservation": _ID, "expires_at": "2026-11-27T22:57:31.250000Z"}
_RESERVED = examples.ADMITTED | {"cost": 40, **_MADE}
_SETTLEMENT: dict[str, Any] = {"reservation": _ID, "cost": 12, "refunded": 28, "overdrawn": 0}
_CHARGE: dict[str, Any] = {
    "client": "acme",
    "plan": "pro",
    "endpoint": "search",
    "cost": 250,
    "overdrawn": 150,
    "ruleset": 17,
    "reason": None,
}

_KEY = OpenApiParameter(
    HEADER,
    {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH, "not": {"pattern": "[^!#-~]"}},
    OpenApiParameter.HEADER,
    description="A request with the same token, client and key is carried out once within 24 hours, on any server. "
    "Visible ASCII characters, or a string in quotes as in draft-ietf-httpapi-idempotency-key-header.",
)
_RESERVATION = OpenApiParameter(
    "reservation", {"type": "string"}, OpenApiParameter.PATH, description="The id of the reservation."
)
_UNKNOWN = problem_answers({problems.UNKNOWN_RESERVATION: {}, problems.NOT_FOUND: {}})
_SETTLED_BEFORE = problem_answers({problems.SETTLED_AT_ANOTHER_COST: _SETTLEMENT}, schema=ref("SettledBeforeResponse"))
_NO_STORE = problem_answers({problems.STORE_UNAVAILABLE: {}, problems.RULESET_MISSING: {}})
_COMMON: Responses = NO_TOKEN | FORBIDDEN | _NO_STORE | ALWAYS

reserve_operation = extend_schema(
    operation_id="reserve",
    tags=["reservations"],
    summary="Decide a request whose cost is not known yet",
    description="A check that consumes an estimated cost, with an id by which the actual cost is settled later. Every "
    "admitted request has an id. Denials consume nothing.",
    parameters=[STATUS, _KEY, *rate_limit_headers(200, 429), RETRY_DENIED, RETRY_OUTAGE, CHALLENGE],
    request={
        JSON: OpenApiRequest(
            {"oneOf": [ref("ReservationByEndpointRequest"), ref("ReservationByRouteRequest")]},
            examples=[
                OpenApiExample("By endpoint", examples.BY_ENDPOINT | {"cost": 40, "ttl": 120}),
                OpenApiExample("What is available", examples.BY_ROUTE | {"cost": 40, "at_least": 10}),
            ],
        )
    },
    responses=json_answer("DecisionResponse", "Admitted; with `?status=200`, any decision.", reserved=_RESERVED)
    | BAD_INPUT
    | NO_TOKEN
    | problem_answers({problems.CLIENT_BLOCKED: examples.BLOCKED} | FORBIDDEN_TYPES, schema=DENIAL_OR_PROBLEM)
    | problem_answers({problems.QUOTA_EXCEEDED: examples.DENIED}, schema=ref("QuotaExceededResponse"))
    | problem_answers(UNDECIDED, schema=DENIAL_OR_PROBLEM)
    | ALWAYS,
)

settle_operation = extend_schema(
    operation_id="settle",
    tags=["reservations"],
    summary="Settle a reservation at its actual cost",
    description="Refunds or debits the difference, even beyond the quota, and frees concurrency places. The same call "
    "again returns the same answer. Less than what was reserved is refunded until `expires_at`; an excess is debited "
    "for 24 hours more.",
    parameters=[_RESERVATION, RETRY_OUTAGE, CHALLENGE],
    request={
        JSON: OpenApiRequest(
            ref("SettlementRequest"),
            examples=[OpenApiExample("The actual cost", {"cost": 12}), OpenApiExample("What was reserved", {})],
        )
    },
    responses=json_answer("SettlementResponse", "Settled.", settled=_SETTLEMENT)
    | BAD_INPUT
    | _UNKNOWN
    | _SETTLED_BEFORE
    | _COMMON,
)

delete_operation = extend_schema(
    operation_id="deleteReservation",
    tags=["reservations"],
    summary="Refund a reservation, or end a check",
    description="Settles a reservation at a cost of 0. Of a check, frees its concurrency places and keeps its cost.",
    parameters=[_RESERVATION, RETRY_OUTAGE, CHALLENGE],
    responses={204: OpenApiResponse(description="Done, now or before.")}
    | problem_answers(
        {problems.INVALID_REQUEST: {"errors": {"dry_run": ["is not a query parameter here."]}}} | REJECTED_EARLY
    )
    | problem_answers({problems.NOT_ACCEPTABLE: {}})
    | _UNKNOWN
    | _SETTLED_BEFORE
    | _COMMON,
)

settle_all_operation = extend_schema(
    operation_id="settleAll",
    tags=["reservations"],
    summary="Settle up to 1,000 reservations",
    description="Settles each reservation independently. If the store fails partway, the remaining results have the "
    "status 503; these settlements may be sent again.",
    parameters=[RETRY_OUTAGE, CHALLENGE],
    request={
        JSON: OpenApiRequest(
            ref("SettlementsRequest"),
            examples=[
                OpenApiExample(
                    "Two reservations",
                    {"settlements": [{"reservation": _ID, "cost": 12}, {"reservation": "AIzK3vYw0nXq7bHc5dTe9gRm"}]},
                )
            ],
        )
    },
    responses=json_answer(
        "SettlementsResponse",
        "One result for each settlement.",
        results={
            "results": [
                {"status": 200, **_SETTLEMENT},
                {"reservation": "AIzK3vYw0nXq7bHc5dTe9gRm", **examples.problem(problems.UNKNOWN_RESERVATION, {})},
            ]
        },
    )
    | BAD_INPUT
    | _COMMON,
)

charge_operation = extend_schema(
    operation_id="charge",
    tags=["reservations"],
    summary="Debit a cost without a check",
    description="Debits the cost from every limit that applies, even beyond the quota, and takes no concurrency "
    "places. Nothing is debited from a client that is blocked or exempt.",
    parameters=[_KEY, RETRY_OUTAGE, CHALLENGE],
    request={
        JSON: OpenApiRequest(
            {"oneOf": [ref("ChargeByEndpointRequest"), ref("ChargeByRouteRequest")]},
            examples=[OpenApiExample("By endpoint", examples.BY_ENDPOINT | {"cost": 250})],
        )
    },
    responses=json_answer("ChargeResponse", "Debited, or the reason why not.", charged=_CHARGE)
    | BAD_INPUT
    | problem_answers(
        {problems.SETTLED_AT_ANOTHER_COST: {"cost": 250, "overdrawn": 150}}, schema=ref("ChargedBeforeResponse")
    )
    | _COMMON,
)
