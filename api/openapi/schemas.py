"""JSON Schemas of everything that the API accepts and returns, and the additions to the OpenAPI document that
drf-spectacular cannot derive from the views."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from rest_framework.request import Request

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


def _object(properties: Schema, *, optional: tuple[str, ...] = (), **more: Any) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, **more}


def _nullable(schema: Schema) -> Schema:
    return schema | {"type": [schema["type"], "null"]}


def _name(description: str) -> Schema:
    bounds = {"minLength": 1, "maxLength": MAX_KEY_LENGTH}
    return {"type": "string", **bounds, **_PRINTABLE, "description": description}


def _count(description: str) -> Schema:
    return {"type": "integer", "minimum": 0, "description": description}


def _seconds(description: str) -> Schema:
    return {"type": "number", "minimum": 0, "description": f"In seconds: {description}"}


def _one_of(enumeration: type[Algorithm] | type[Mode] | type[Reason], description: str) -> Schema:
    return {"type": "string", "enum": [member.value for member in enumeration], "description": description}


def _request(fields: Schema) -> Schema:
    properties = {"client": _CLIENT, **fields, "cost": _COST, "attributes": ATTRIBUTES}
    return _object(properties, optional=("cost", "attributes"), additionalProperties=False)


_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_CLIENT = _name("The key of the client that makes the request. An unregistered client is on the default plan.")
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

_REMAINING = _count("Whole units of cost that would still be admitted now; of a concurrency limit, requests.")
_RESET_AFTER = _seconds("until the full capacity of the limit is available again.")
_NEXT_CAPACITY_AFTER = _nullable(
    _seconds(
        "until some capacity becomes available again, for a concurrency limit at the latest; null if nothing is used."
    )
)
_RETRY_AFTER = _nullable(
    _seconds(
        "until this request would be admitted; null if admitted, or if waiting cannot help. 1 for a concurrency limit, "
        "since it is not known when a request will end."
    )
)

_LIMIT = _object(
    {
        "name": _TEXT
        | {
            "description": "The name of the limit: its policy, and its window or `concurrent`; `~1` is added for the "
            "parent, `~2` above it."
        },
        "policy": _TEXT,
        "client": _nullable(_TEXT)
        | {
            "description": "The client that the limit belongs to: that of the check, or one of its ancestors. Null if "
            "the limit counts all clients together."
        },
        "algorithm": _one_of(Algorithm, "The algorithm of the limit."),
        "mode": _one_of(Mode, "A shadow limit is evaluated, counted and reported, but never denies."),
        "quota": _count(
            "The cost that the limit admits in a window; of a concurrency limit, the number of concurrent requests."
        ),
        "window": _nullable(
            _seconds(
                "the length of the window; of a concurrency limit, the longest that a request counts. Null for a "
                "calendar limit."
            )
        ),
        "burst": _nullable(_count("The size of a token bucket; null for others.")),
        "allowed": _FLAG | {"description": "Whether this limit admits the request."},
        "remaining": _REMAINING,
        "reset_after": _RESET_AFTER,
        "next_capacity_after": _NEXT_CAPACITY_AFTER,
        "retry_after": _RETRY_AFTER,
    }
)

_ID = _TEXT | {"description": "The id of a reservation, an opaque string."}
_RESERVATION = _nullable(_TEXT) | {
    "description": "The id of the reservation, with which it is settled or deleted. Null if the request was denied, and "
    "for a check unless it counts for a concurrency limit until it is deleted."
}
_EXPIRES_AT = _nullable(_TEXT) | {
    "format": "date-time",
    "description": "The time until which less cost can be refunded, by the clock of the store, in UTC with "
    "microseconds; for a check, the end of the time that it counts for concurrency limits. Null without a reservation.",
}

_DECISION = _object(
    {
        "allowed": _FLAG | {"description": "Whether to serve the request."},
        "reason": {
            "type": ["string", "null"],
            "enum": [*(reason.value for reason in Reason), None],
            "description": "The reason for the decision; null if the limits admit the request.",
        },
        "client": _TEXT,
        "plan": _nullable(_TEXT),
        "endpoint": _nullable(_TEXT)
        | {"description": "The slug of the endpoint; null: no registered endpoint matches."},
        "cost": _count("The cost of the request; of a reservation with `at_least`, the cost that is reserved."),
        "reservation": _RESERVATION,
        "expires_at": _EXPIRES_AT,
        "limit": _nullable(
            _count(
                "The quota, or the burst of a token bucket, of one enforcing limit: the denying limit with the longest "
                "wait, otherwise the limit with the least remaining. Null if no limit applies."
            )
        ),
        "remaining": _nullable(_REMAINING),
        "reset_after": _nullable(_RESET_AFTER),
        "next_capacity_after": _NEXT_CAPACITY_AFTER,
        "retry_after": _RETRY_AFTER,
        "degraded": _FLAG | {"description": "Whether the decision was made without the store."},
        "ruleset": _count("The version of the ruleset that decided; increases with each publication."),
        "limits": {"type": "array", "items": ref("Limit"), "description": "Every limit that applies to the request."},
    }
)

_RESULT: Schema = {
    "allOf": [
        ref("Decision"),
        _object(
            {"status": {"enum": [200, 403, 429, 503], "description": "The status that a single check would have."}}
        ),
    ]
}
_ENDPOINT_OF_LIMIT = _nullable(_TEXT) | {
    "description": "The endpoint of the limit's policy; null: all requests together."
}
_USAGE = _object(
    {
        "client": _TEXT,
        "plan": _nullable(_TEXT),
        "status": {"type": "string", "enum": [status.value for status in ClientStatus]},
        "degraded": _FLAG | {"description": "Whether the store has lost data that is being restored."},
        "ruleset": _count("The version of the ruleset."),
        "limits": {
            "type": "array",
            "items": {"allOf": [ref("Limit"), _object({"endpoint": _ENDPOINT_OF_LIMIT})]},
            "description": "Every limit that counts this client separately; `allowed`: whether it would admit a cost "
            "of 1.",
        },
    }
)

_PROBLEM = _object(
    {
        "type": {"type": "string", "format": "uri-reference", "description": "The kind of error."},
        "title": _TEXT | {"description": "The name of this kind of error."},
        "status": {"type": "integer"},
        "detail": _TEXT | {"description": "An explanation of this error."},
        "errors": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": _TEXT},
            "description": "Field path → error messages. `body` is the body as a whole.",
        },
    },
    optional=("errors",),
)

_NAME = _TEXT | {"maxLength": MAX_NAME_LENGTH, **_PRINTABLE, "description": "A display name for people."}
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
_LATER = _TEXT | {"description": "Why the change is not live yet."}
_CHANGE = {"key": _TEXT, **_FIELDS, "live": _LIVE, "detail": _LATER}
_REASON = {"type": "string", "minLength": 1, "maxLength": MAX_REASON_LENGTH, **_PRINTABLE, "pattern": r"\S"}

_MISSING: Schema = {"type": "array", "items": _TEXT, "description": "The unavailable parts, such as `store`."}
_VIOLATED = _object(
    {"violated-policies": {"type": "array", "items": _TEXT, "description": "The names of the denying limits."}}
)

SCHEMAS: dict[str, Schema] = {
    "Batch": _object(
        {
            "checks": {
                "type": "array",
                "items": {"oneOf": [ref("CheckByEndpoint"), ref("CheckByRoute")]},
                "minItems": 1,
                "maxItems": MAX_CHECKS,
            }
        },
        additionalProperties=False,
    ),
    "BatchResults": _object({"results": {"type": "array", "items": ref("BatchResult")}}),
    "BatchResult": _RESULT,
    "CheckByEndpoint": _request({"endpoint": _name("The slug of the endpoint that the request is for.")}),
    "CheckByRoute": _request({"method": _METHOD, "path": _PATH}),
    "Client": _object({"key": _TEXT, **_FIELDS}),
    "ClientChange": _object(_CHANGE, optional=("detail",)),
    "ClientFields": _object(_FIELDS, optional=tuple(_FIELDS), additionalProperties=False),
    "ClientRemoval": _object({"key": _TEXT, "live": _LIVE, "detail": _LATER}),
    "Clients": _object({"clients": {"type": "array", "items": ref("Client")}, "next": {"type": ["string", "null"]}}),
    "Decision": _DECISION,
    "Denial": {"allOf": [ref("Problem"), ref("Decision")]},
    "Health": _object({"status": {"const": "ok"}}),
    "Limit": _LIMIT,
    "NotReady": {"allOf": [ref("Problem"), _object({"missing": _MISSING})]},
    "Problem": _PROBLEM,
    "QuotaExceeded": {"allOf": [ref("Denial"), _VIOLATED]},
    "Reset": _object({"reason": _REASON}, additionalProperties=False),
    "ResetDone": _object({"client": _TEXT, "reason": _TEXT}),
    "Usage": _USAGE,
    "Readiness": _object(
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


class BearerScheme(OpenApiAuthenticationExtension):
    """The security scheme of :class:`api.authentication.BearerAuthentication`."""

    target_class = "api.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        description = "A token from `manage.py issue_token`. A revoked token stops working with that publication."
        return {"type": "http", "scheme": "bearer", "description": description}


def complete(
    result: dict[str, Any], generator: SchemaGenerator, request: Request | None, public: bool
) -> dict[str, Any]:
    """A postprocessing hook of drf-spectacular: adds the schemas that the operations refer to, marks every
    request body as required, and sorts the responses by status."""
    result["components"]["schemas"] = SCHEMAS
    for operations in result["paths"].values():
        for operation in operations.values():
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
            operation["responses"] = dict(sorted(operation["responses"].items()))
    return result
