"""JSON Schemas of reservations, settlements and charges."""

from api.openapi.schemas import BY_ENDPOINT, BY_ROUTE, TEXT, Schema, check_schema, count, nullable, object_schema, ref
from api.reservation_requests import MAX_SETTLEMENTS
from ratelimit_enforcer.domain.enums import Reason
from ratelimit_enforcer.domain.limit import MAX_COST
from ratelimit_enforcer.domain.reservations import DEFAULT_TTL, MAX_SETTLED_COST, MAX_TTL

_RESERVED: Schema = {
    "ttl": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_TTL,
        "default": DEFAULT_TTL,
        "description": "The seconds for which less cost can be refunded.",
    },
    "at_least": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_COST,
        "description": "Reserves what is available, if that is at least this cost: up to `cost`, which it must not "
        "exceed.",
    },
}
_CHARGED: Schema = {
    "cost": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_SETTLED_COST,
        "description": "The cost to debit. Default: the endpoint's cost.",
    }
}
_ID = TEXT | {"description": "The id of the reservation."}
_COST: Schema = {
    "type": "integer",
    "minimum": 0,
    "maximum": MAX_SETTLED_COST,
    "description": "The actual cost. Default: the cost that was reserved.",
}
_OVERDRAWN = count("The largest excess over an enforcing limit that the debit caused.")
_SETTLEMENT = object_schema(
    {
        "reservation": _ID,
        "cost": count("The cost at which the reservation is settled."),
        "refunded": count("The part of the reserved cost that was refunded."),
        "overdrawn": _OVERDRAWN,
    }
)
_SETTLED: Schema = {"allOf": [ref("SettlementResponse"), object_schema({"status": {"const": 200}})]}
_NOT_SETTLED: Schema = {
    "allOf": [ref("ProblemResponse"), object_schema({"reservation": _ID, "status": {"enum": [404, 409, 503]}})]
}
_CHARGE = object_schema(
    {
        "client": TEXT,
        "plan": nullable(TEXT),
        "endpoint": nullable(TEXT) | {"description": "The slug of the endpoint; null: no registered endpoint matches."},
        "cost": count("The cost that was debited; 0 if the client is blocked or exempt."),
        "overdrawn": _OVERDRAWN,
        "ruleset": count("The version of the ruleset."),
        "reason": {
            "type": ["string", "null"],
            "enum": [Reason.BLOCKED.value, Reason.EXEMPT.value, None],
            "description": "Why nothing was debited; null if the cost was debited.",
        },
    }
)

RESERVATION_SCHEMAS: dict[str, Schema] = {
    "ChargeResponse": _CHARGE,
    "ChargeByEndpointRequest": check_schema(BY_ENDPOINT, _CHARGED),
    "ChargeByRouteRequest": check_schema(BY_ROUTE, _CHARGED),
    "ChargedBeforeResponse": {
        "allOf": [
            ref("ProblemResponse"),
            object_schema({"cost": count("The cost of the earlier charge."), "overdrawn": _OVERDRAWN}),
        ]
    },
    "ReservationByEndpointRequest": check_schema(BY_ENDPOINT, _RESERVED),
    "ReservationByRouteRequest": check_schema(BY_ROUTE, _RESERVED),
    "SettledBeforeResponse": {"allOf": [ref("ProblemResponse"), ref("SettlementResponse")]},
    "SettlementResponse": _SETTLEMENT,
    "SettlementRequest": object_schema({"cost": _COST}, optional=("cost",), additionalProperties=False),
    "SettlementsRequest": object_schema(
        {
            "settlements": {
                "type": "array",
                "items": object_schema(
                    {"reservation": _ID, "cost": _COST}, optional=("cost",), additionalProperties=False
                ),
                "minItems": 1,
                "maxItems": MAX_SETTLEMENTS,
            }
        },
        additionalProperties=False,
    ),
    "SettlementsResponse": object_schema(
        {
            "results": {
                "type": "array",
                "items": {"oneOf": [_SETTLED, _NOT_SETTLED]},
                "description": "One result for each settlement, in the same order.",
            }
        }
    ),
}
