"""JSON Schemas of everything that the API takes and gives."""

from typing import Any

from api.requests import MAX_CHECKS, MAX_METHOD_LENGTH, MAX_PATH_LENGTH, TOKEN_CHARACTERS
from limits.domain.client import MAX_KEY_LENGTH
from limits.domain.limit import MAX_COST
from limits.domain.validation import MAX_NAME_LENGTH, MAX_REASON_LENGTH, MAX_SLUG_LENGTH
from limits.domain.words import Algorithm, ClientStatus, Mode, Reason

Schema = dict[str, Any]

# Forbidding a character, unlike "^[…]+$", means the same to every engine: to some, "$" also
# stands before a last line feed.
_PRINTABLE = {"not": {"pattern": r"[\u0000-\u001f\u007f-\u009f]"}}


def ref(name: str) -> Schema:
    """A reference to one of :data:`SCHEMAS`."""
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


def _one_of(words: type[Algorithm] | type[Mode] | type[Reason], description: str) -> Schema:
    return {"type": "string", "enum": [word.value for word in words], "description": description}


def _request(fields: Schema) -> Schema:
    properties = {"client": _CLIENT, **fields, "cost": _COST}
    return _object(properties, optional=("cost",), additionalProperties=False)


_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_CLIENT = _name("Who makes the request. A client that nobody registered is on the default plan.")
_COST: Schema = {
    "type": "integer",
    "minimum": 1,
    "maximum": MAX_COST,
    "description": "What the request costs. Default: the endpoint's cost.",
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

_REMAINING = _count("Whole units of cost that would still be admitted now.")
_RESET_AFTER = _seconds("until the limit is as if it had never been used.")
_NEXT_CAPACITY_AFTER = _nullable(_seconds("until the first capacity comes back; null where none is missing."))
_RETRY_AFTER = _nullable(_seconds("until this request would be admitted; null where waiting cannot help."))

_LIMIT = _object(
    {
        "name": _TEXT | {"description": "The policy, and the limit within it."},
        "policy": _TEXT,
        "algorithm": _one_of(Algorithm, "How the limit counts."),
        "mode": _one_of(Mode, "A shadow limit is counted and reported, and never denies."),
        "quota": _count("The cost that is admitted in a window."),
        "window": _nullable(_seconds("the length of the window; null for a calendar limit.")),
        "burst": _nullable(_count("The size of a token bucket; null for others.")),
        "allowed": _FLAG | {"description": "Whether this limit admits the request."},
        "remaining": _REMAINING,
        "reset_after": _RESET_AFTER,
        "next_capacity_after": _NEXT_CAPACITY_AFTER,
        "retry_after": _RETRY_AFTER,
    }
)

_DECISION = _object(
    {
        "allowed": _FLAG | {"description": "Whether to serve the request."},
        "reason": {
            "type": ["string", "null"],
            "enum": [*(reason.value for reason in Reason), None],
            "description": "Why; null where the limits admit the request.",
        },
        "client": _TEXT,
        "plan": _nullable(_TEXT),
        "endpoint": _nullable(_TEXT) | {"description": "null: an endpoint that nobody registered."},
        "cost": _count("What the request costs."),
        "limit": _nullable(
            _count(
                "The quota, or the burst of a token bucket, of the limit that speaks for all: the one that denies "
                "for longest, else the one with the least remaining. null where no limit is enforced."
            )
        ),
        "remaining": _nullable(_REMAINING),
        "reset_after": _nullable(_RESET_AFTER),
        "next_capacity_after": _NEXT_CAPACITY_AFTER,
        "retry_after": _RETRY_AFTER,
        "degraded": _FLAG | {"description": "Whether the decision was made without the store."},
        "ruleset": _count("The version of the rules that decided; it grows with each publish."),
        "limits": {"type": "array", "items": ref("Limit"), "description": "Every limit that was asked."},
    }
)

_RESULT: Schema = {
    "allOf": [
        ref("Decision"),
        _object({"status": {"enum": [200, 403, 429, 503], "description": "As of a check alone."}}),
    ]
}
_ENDPOINT_OF_LIMIT = _nullable(_TEXT) | {"description": "Of the limit's policy; null: all requests together."}
_USAGE = _object(
    {
        "client": _TEXT,
        "plan": _nullable(_TEXT),
        "status": {"type": "string", "enum": [status.value for status in ClientStatus]},
        "degraded": _FLAG | {"description": "Whether the store has lost something and is being refilled."},
        "ruleset": _count("The version of the rules."),
        "limits": {
            "type": "array",
            "items": {"allOf": [ref("Limit"), _object({"endpoint": _ENDPOINT_OF_LIMIT})]},
            "description": "Every limit that counts this client by itself; `allowed`: whether a cost of 1 would be.",
        },
    }
)

_PROBLEM = _object(
    {
        "type": {"type": "string", "format": "uri-reference", "description": "The kind of error."},
        "title": _TEXT | {"description": "What this kind of error is called."},
        "status": {"type": "integer"},
        "detail": _TEXT | {"description": "What happened this time."},
        "errors": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": _TEXT},
            "description": "Field path → what is wrong with the field. `body` is the body as a whole.",
        },
    },
    optional=("errors",),
)

_NAME = _TEXT | {"maxLength": MAX_NAME_LENGTH, **_PRINTABLE, "description": "What people call the client."}
_PLAN = {"type": ["string", "null"], "maxLength": MAX_SLUG_LENGTH, "description": "A slug; null: the default plan."}
_STATUS = {"type": "string", "enum": [status.value for status in ClientStatus]}
_FIELDS = {"name": _NAME, "plan": _PLAN, "status": _STATUS}
_LIVE = _FLAG | {"description": "Whether every server decides by the change already."}
_LATER = _TEXT | {"description": "Why it is not live yet."}
_CHANGE = {"key": _TEXT, **_FIELDS, "live": _LIVE, "detail": _LATER}
_REASON = {"type": "string", "minLength": 1, "maxLength": MAX_REASON_LENGTH, **_PRINTABLE, "pattern": r"\S"}

_MISSING: Schema = {"type": "array", "items": _TEXT, "description": "What is not available, such as `store`."}
_VIOLATED = _object({"violated-policies": {"type": "array", "items": _TEXT, "description": "The limits that deny."}})

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
                "description": "What should be changed in how Redis is set up, in sentences; looked at once a minute.",
            },
            "ruleset": {"type": "integer", "description": "The version that this process decides by."},
            "emergency_switch": {
                "type": "boolean",
                "description": "Whether the emergency switch is on in that version.",
            },
            "store_ruleset": {
                "type": ["integer", "null"],
                "description": "The version in force in Redis. Null: it holds none, or is unavailable.",
            },
        }
    ),
}
