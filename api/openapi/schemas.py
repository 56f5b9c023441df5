"""JSON Schemas of what the API accepts and returns, except those of reservations (reservation_schemas.py)."""

from typing import Any

from api.requests import MAX_CHECKS, MAX_METHOD_LENGTH, MAX_PATH_LENGTH, TOKEN_CHARACTERS
from ratelimit_enforcer.domain.attributes import CLIENT, MAX_ATTRIBUTES, MAX_VALUE_LENGTH
from ratelimit_enforcer.domain.client import MAX_KEY_LENGTH
from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, Mode, Reason
from ratelimit_enforcer.domain.limit import MAX_COST
from ratelimit_enforcer.domain.validation import MAX_NAME_LENGTH, MAX_REASON_LENGTH, MAX_SLUG_LENGTH, MAX_TAGS

Schema = dict[str, Any]

# Forbidding characters means the same in every regex engine, unlike "^[…]+$": in some of them, "$" also
# matches before a final line feed.
_PRINTABLE = {"not": {"pattern": r"[\u0000-\u001f\u007f-\u009f]"}}


def ref(name: str) -> Schema:
    """A reference to the schema with this name in :data:`SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def object_schema(properties: Schema, *, optional: tuple[str, ...] = (), **more: Any) -> Schema:
    """An object whose properties are all required, except the ``optional`` ones. ``more``: further keywords."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, **more}


def nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    return schema | {"type": [schema["type"], "null"]}


def name_schema(description: str) -> Schema:
    """A key of a client, or the slug of an endpoint."""
    bounds = {"minLength": 1, "maxLength": MAX_KEY_LENGTH}
    return {"type": "string", **bounds, **_PRINTABLE, "description": description}


def count(description: str) -> Schema:
    """A whole number of 0 or more."""
    return {"type": "integer", "minimum": 0, "description": description}


def _seconds(description: str) -> Schema:
    return {"type": "number", "minimum": 0, "description": f"In seconds: {description}"}


def _one_of(enumeration: type[Algorithm] | type[Mode] | type[Reason], description: str) -> Schema:
    return {"type": "string", "enum": [member.value for member in enumeration], "description": description}


def check_schema(fields: Schema, more: Schema | None = None) -> Schema:
    """The body of a check: ``fields`` name the endpoint; ``more`` are optional and may replace others."""
    optional = {"cost": _COST, "attributes": ATTRIBUTES, **(more or {})}
    return object_schema(
        {"client": _CLIENT, **fields, **optional}, optional=tuple(optional), additionalProperties=False
    )


TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_CLIENT = name_schema("The key of the client that makes the request. An unregistered client is on the default plan.")
_COST: Schema = {
    "type": "integer",
    "minimum": 1,
    "maximum": MAX_COST,
    "description": "The cost of the request. Default: the endpoint's cost.",
}
ATTRIBUTES: Schema = {
    "type": "object",
    "propertyNames": {
        "minLength": 1,
        "maxLength": MAX_SLUG_LENGTH,
        "not": {"anyOf": [{"pattern": "[^a-z0-9-]"}, {"const": CLIENT}]},
    },
    "additionalProperties": {"type": "string", "maxLength": MAX_VALUE_LENGTH},
    "maxProperties": MAX_ATTRIBUTES,
    "description": "Named values that policies count separately or match, such as `ip` (an address) or `model`. An "
    "attribute that is missing or empty is counted as the empty value.",
}
_METHOD: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_METHOD_LENGTH,
    "not": {"pattern": f"[^{TOKEN_CHARACTERS}]"},
    "description": "The method of the request. HEAD counts as GET.",
}
_PATH: Schema = {
    "type": "string",
    "maxLength": MAX_PATH_LENGTH,
    "pattern": "^/",
    **_PRINTABLE,
    "description": "The path of the request; a query string is ignored.",
}
BY_ENDPOINT: Schema = {"endpoint": name_schema("The slug of the endpoint that the request is for.")}
BY_ROUTE: Schema = {"method": _METHOD, "path": _PATH}

_REMAINING = count("Whole units of cost that would still be admitted now; of a concurrency limit, requests.")
_RESET_AFTER = _seconds("until the full capacity of the limit is available again.")
_NEXT_CAPACITY_AFTER = nullable(
    _seconds(
        "until some capacity becomes available again, for a concurrency limit at the latest; null if nothing is used."
    )
)
_RETRY_AFTER = nullable(
    _seconds(
        "until this request would be admitted; null if admitted, or if waiting cannot help. 1 for a concurrency limit, "
        "since it is not known when a request will end."
    )
)

_LIMIT = object_schema(
    {
        "name": TEXT
        | {
            "description": "The name of the limit: its policy, and its window or `concurrent`; `~1` is added for the "
            "parent, `~2` above it."
        },
        "policy": TEXT,
        "client": nullable(TEXT)
        | {
            "description": "The client that the limit belongs to: that of the check, or one of its ancestors. Null if "
            "the limit counts all clients together."
        },
        "algorithm": _one_of(Algorithm, "The algorithm of the limit."),
        "mode": _one_of(Mode, "A shadow limit is evaluated, counted and reported, but never denies."),
        "quota": count(
            "The cost that the limit admits in a window; of a concurrency limit, the number of concurrent requests."
        ),
        "window": nullable(
            _seconds(
                "the length of the window; of a concurrency limit, the longest that a request counts. Null for a "
                "calendar limit."
            )
        ),
        "burst": nullable(count("The size of a token bucket; null for others.")),
        "allowed": _FLAG | {"description": "Whether this limit admits the request."},
        "remaining": _REMAINING,
        "reset_after": _RESET_AFTER,
        "next_capacity_after": _NEXT_CAPACITY_AFTER,
        "retry_after": _RETRY_AFTER,
        "granted": count(
            "Units of cost that are left of the client's grants after this answer, included in `remaining`. Only for a "
            "calendar limit."
        ),
        "over_quota": count(
            "Units of cost beyond the quota in this period, after this answer. Only for a calendar limit of a policy "
            "that admits and counts them."
        ),
    },
    optional=("granted", "over_quota"),
)

_RESERVATION = nullable(TEXT) | {
    "description": "The id of the reservation, by which it is settled or deleted. Null if the request was denied. A "
    "check has one only if it counts for a concurrency limit, which ends when the reservation is deleted."
}
_EXPIRES_AT = nullable(TEXT) | {
    "format": "date-time",
    "description": "The time until which less cost can be refunded, by the clock of the store, in UTC with "
    "microseconds; for a check, the end of the time that it counts for concurrency limits. Null without a reservation.",
}

_DECISION = object_schema(
    {
        "allowed": _FLAG | {"description": "Whether to serve the request."},
        "reason": {
            "type": ["string", "null"],
            "enum": [*(reason.value for reason in Reason), None],
            "description": "The reason for the decision; null if the limits admit the request.",
        },
        "client": TEXT,
        "plan": nullable(TEXT),
        "endpoint": nullable(TEXT) | {"description": "The slug of the endpoint; null: no registered endpoint matches."},
        "cost": count("The cost of the request; of a reservation with `at_least`, the cost that is reserved."),
        "reservation": _RESERVATION,
        "expires_at": _EXPIRES_AT,
        "limit": nullable(
            count(
                "The quota, or the burst of a token bucket, of one enforcing limit: the denying limit with the longest "
                "wait, otherwise the limit with the least remaining. Null if no limit applies."
            )
        ),
        "remaining": nullable(_REMAINING),
        "reset_after": nullable(_RESET_AFTER),
        "next_capacity_after": _NEXT_CAPACITY_AFTER,
        "retry_after": _RETRY_AFTER,
        "degraded": _FLAG | {"description": "Whether the decision was made without the store."},
        "ruleset": count("The version of the ruleset that decided; increases with each publication."),
        "limits": {
            "type": "array",
            "items": ref("LimitResponse"),
            "description": "Every limit that applies to the request.",
        },
        "change": TEXT
        | {"description": "The change set that decided, if it began by its schedule or is tried on a share."},
    },
    optional=("change",),
)

_RESULT: Schema = {
    "allOf": [
        ref("DecisionResponse"),
        object_schema(
            {"status": {"enum": [200, 403, 429, 503], "description": "The status that a single check would have."}}
        ),
    ]
}
_ENDPOINT_OF_LIMIT = nullable(TEXT) | {
    "description": "The endpoint of the limit's policy; null: all requests together."
}
_USAGE = object_schema(
    {
        "client": TEXT,
        "plan": nullable(TEXT),
        "status": {"type": "string", "enum": [status.value for status in ClientStatus]},
        "degraded": _FLAG | {"description": "Whether the store has lost data that is being restored."},
        "ruleset": count("The version of the ruleset."),
        "limits": {
            "type": "array",
            "items": {"allOf": [ref("LimitResponse"), object_schema({"endpoint": _ENDPOINT_OF_LIMIT})]},
            "description": "Every limit that counts this client separately; `allowed`: whether it would admit a cost "
            "of 1.",
        },
    }
)

_PROBLEM = object_schema(
    {
        "type": {"type": "string", "format": "uri-reference", "description": "The kind of error."},
        "title": TEXT | {"description": "The name of this kind of error."},
        "status": {"type": "integer"},
        "detail": TEXT | {"description": "An explanation of this error."},
        "errors": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": TEXT},
            "description": "Field path → error messages. `body` is the body as a whole.",
        },
    },
    optional=("errors",),
)

_NAME = TEXT | {"maxLength": MAX_NAME_LENGTH, **_PRINTABLE, "description": "A display name for people."}
_PLAN = {
    "type": ["string", "null"],
    "maxLength": MAX_SLUG_LENGTH,
    "description": "The slug of a plan; null: the default plan.",
}
_STATUS = {"type": "string", "enum": [status.value for status in ClientStatus]}
TAG: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_SLUG_LENGTH,
    "not": {"pattern": "[^a-z0-9-]"},
    "description": "A lowercase word.",
}
_TAGS: Schema = {
    "type": "array",
    "items": TAG,
    "maxItems": MAX_TAGS,
    "uniqueItems": True,
    "description": "Words that group clients: overrides may apply to all clients with some tags. Sorted.",
}
_PARENT: Schema = {
    "type": ["string", "null"],
    "minLength": 1,
    "maxLength": MAX_KEY_LENGTH,
    "description": "The key of the client that this one belongs to, such as an organisation; null: none. At most four "
    "levels.",
}
_FIELDS = {"name": _NAME, "plan": _PLAN, "status": _STATUS, "tags": _TAGS, "parent": _PARENT}
_LIVE = _FLAG | {"description": "Whether the change is in force on every server."}
_LATER = TEXT | {"description": "Why the change is not live yet."}
_CHANGE = {"key": TEXT, **_FIELDS, "live": _LIVE, "detail": _LATER}
_REASON = {"type": "string", "minLength": 1, "maxLength": MAX_REASON_LENGTH, **_PRINTABLE, "pattern": r"\S"}

_MISSING: Schema = {"type": "array", "items": TEXT, "description": "The unavailable parts, such as `store`."}
_VIOLATED = object_schema(
    {"violated-policies": {"type": "array", "items": TEXT, "description": "The names of the denying limits."}}
)

SCHEMAS: dict[str, Schema] = {
    "BatchRequest": object_schema(
        {
            "checks": {
                "type": "array",
                "items": {"oneOf": [ref("CheckByEndpointRequest"), ref("CheckByRouteRequest")]},
                "minItems": 1,
                "maxItems": MAX_CHECKS,
            }
        },
        additionalProperties=False,
    ),
    "BatchResponse": object_schema({"results": {"type": "array", "items": ref("BatchItemResponse")}}),
    "BatchItemResponse": _RESULT,
    "CheckByEndpointRequest": check_schema(BY_ENDPOINT),
    "CheckByRouteRequest": check_schema(BY_ROUTE),
    "ClientResponse": object_schema({"key": TEXT, **_FIELDS}),
    "ClientSavedResponse": object_schema(_CHANGE, optional=("detail",)),
    "ClientRequest": object_schema(_FIELDS, optional=tuple(_FIELDS), additionalProperties=False),
    "ClientDeletedResponse": object_schema({"key": TEXT, "live": _LIVE, "detail": _LATER}),
    "ClientsResponse": object_schema(
        {"clients": {"type": "array", "items": ref("ClientResponse")}, "next": {"type": ["string", "null"]}}
    ),
    "DecisionResponse": _DECISION,
    "DenialResponse": {"allOf": [ref("ProblemResponse"), ref("DecisionResponse")]},
    "HealthResponse": object_schema({"status": {"const": "ok"}}),
    "LimitResponse": _LIMIT,
    "NotReadyResponse": {"allOf": [ref("ProblemResponse"), object_schema({"missing": _MISSING})]},
    "ProblemResponse": _PROBLEM,
    "QuotaExceededResponse": {"allOf": [ref("DenialResponse"), _VIOLATED]},
    "ResetRequest": object_schema({"reason": _REASON}, additionalProperties=False),
    "ResetResponse": object_schema({"client": TEXT, "reason": TEXT}),
    "UsageResponse": _USAGE,
    "ReadinessResponse": object_schema(
        {
            "status": {"enum": ["ready", "degraded"]},
            "missing": _MISSING,
            "warnings": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Recommended changes to the configuration of Redis, checked once a minute.",
            },
            "ruleset": {"type": "integer", "description": "The version of the ruleset that this process uses."},
            "emergency_switch": {
                "type": "boolean",
                "description": "Whether the emergency switch is on in that version.",
            },
            "store_ruleset": {
                "type": ["integer", "null"],
                "description": "The version of the ruleset in Redis. Null: Redis has none or is unavailable.",
            },
        }
    ),
}
