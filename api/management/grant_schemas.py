"""JSON Schemas of grants."""

from api.management.operation_parts import id_schema
from api.openapi.schemas import TEXT, Schema, count, object_schema, ref
from ratelimit_enforcer.domain.client import MAX_KEY_LENGTH
from ratelimit_enforcer.domain.grants import MAX_AMOUNT, MAX_PRIORITY
from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH, MAX_SLUG_LENGTH

_DATE: Schema = {"type": "string", "format": "date-time"}
_FIELDS: dict[str, Schema] = {
    "client": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_KEY_LENGTH,
        "description": "A registered client; of an ancestor, all clients below it use the grant.",
    },
    "policy": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_SLUG_LENGTH,
        "description": "The slug of a policy with a calendar limit that counts each client separately.",
    },
    "amount": {"type": "integer", "minimum": 1, "maximum": MAX_AMOUNT, "description": "Units beyond the quota."},
    "from": _DATE | {"description": "From when it can be used; omitted: from now on."},
    "until": _DATE | {"description": "When it ends; what remains then cannot be used any more."},
    "priority": {
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_PRIORITY,
        "default": 0,
        "description": "Of several grants, the one with the lower number is used first, then the one that ends first.",
    },
    "reason": {"type": "string", "maxLength": MAX_REASON_LENGTH, "description": "Such as an order number."},
}

_RESPONSE = object_schema(
    {
        "id": id_schema(),
        **_FIELDS,
        "state": {"type": "string", "enum": ["scheduled", "active", "ended"]},
        "consumed": count("Units that were consumed, as of the last few seconds."),
        "returned": count("Units of these that were returned by settlements."),
        "remaining": count("Units that can still be used; 0 once the grant has ended."),
        "author": TEXT | {"description": "A user name, `token NAME`, or `config file`."},
        "created_at": _DATE,
    }
)
_LIVE = object_schema(
    {
        "live": {"type": "boolean", "description": "Whether the change is in force on every server."},
        "detail": TEXT | {"description": "Why it is not live yet."},
    },
    optional=("detail",),
)

GRANT_SCHEMAS: dict[str, Schema] = {
    "GrantRequest": object_schema(_FIELDS, optional=("from", "priority", "reason"), additionalProperties=False),
    "GrantChangeRequest": object_schema(
        _FIELDS, optional=("client", "policy", "from", "priority", "reason"), additionalProperties=False
    ),
    "GrantResponse": _RESPONSE,
    "GrantChangeResponse": {"allOf": [ref("GrantResponse"), _LIVE]},
    "GrantsResponse": object_schema(
        {"grants": {"type": "array", "items": ref("GrantResponse")}, "next": {"type": ["string", "null"]}}
    ),
}
