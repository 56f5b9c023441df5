"""JSON Schemas of single objects of the config file, made from the schema of the file."""

from copy import deepcopy
from typing import Any

from api.openapi.schemas import TEXT, Schema, object_schema, ref
from limits.configfile.objects import Kind
from limits.configfile.schema import SCHEMA
from ratelimit_enforcer.domain.validation import PRINTABLE

_PRINTABLE_HERE = {"not": {"pattern": r"[\u0000-\u001f\u007f-\u009f]"}}
"""The same as the pattern of the config file, for the regular expressions of any language."""

DESCRIPTIONS = {
    "slug": "Identifies it; cannot be changed. In a request, it may be left out, or is that of the address.",
    "name": "For people.",
    "default": "Whether clients without a plan are on this one. A request without it changes no default plan.",
    "position": "The place in lists of plans, in ascending order. A request without it leaves the place.",
    "price_note": "For people, such as `€ 49 a month`. A request without it leaves the note.",
    "routes": "Method and path: `GET /api/products/{id}`.",
    "cost": "The cost of a request. Default: 1.",
    "plan": "The slug of a plan; null: all plans.",
    "endpoint": "The slug of an endpoint; null: all endpoints.",
    "partition": "Who is counted separately: `client` (default), `global`, or a list of `client` and attributes.",
    "match": "Attribute → patterns: the policy applies only to checks that match all of them.",
    "mode": "Default: `enforce`.",
    "on_store_failure": "Default: `local`.",
    "over_quota": "Beyond the quota of calendar limits: `deny` (default), or `count` (admit, and count the units).",
    "starts_at": "When it begins to apply; null: immediately. With a time zone.",
    "ends_at": "When it ceases to apply; null: no end. With a time zone.",
    "limits": "All limits apply.",
    "client": "The key of a client.",
    "clients": "All clients with these tags, on this plan, or with this prefix of the key: one of the three.",
    "policy": "The slug of a policy.",
    "reason": "For people.",
    "prefix": "All clients whose key begins with this text.",
    "network": "All requests from addresses in this network.",
    "metric": "What is measured.",
    "threshold": "The rule fires at this value.",
    "window": "In seconds.",
    "group_by": "Each client, endpoint or policy is evaluated separately; `none` or null: all together.",
    "cooldown": "Seconds between two messages about the same subject.",
    "emails": "Addresses that are notified.",
    "webhooks": "URLs that receive a signed POST request.",
    "channels": "Slugs of channels of services such as Slack.",
    "min_requests": "Fewer requests in the window do not fire the rule.",
    "notify_resolved": "Whether the end of an alert is reported too.",
}
_NEXT: Schema = {"type": ["string", "null"], "description": "The URL of the next page; null on the last page."}
_ID: Schema = {"type": "string", "description": "Assigned by the platform."}
_LIVE: Schema = {"type": "boolean", "description": "Whether the change is in force on every server."}
_DETAIL = TEXT | {"description": "Why the change is not live yet."}


def type_name(kind: Kind) -> str:
    """The name of a kind in names of schemas, such as ``AlertRule``."""
    return kind.name.title().replace(" ", "")


def plural_name(kind: Kind) -> str:
    """The plural of :func:`type_name`, such as ``AlertRules``."""
    return kind.section.replace("_", " ").title().replace(" ", "")


def schemas_of(kind: Kind) -> dict[str, Schema]:
    """The schemas of requests and responses about objects of one kind."""
    name, item = type_name(kind), _described(deepcopy(SCHEMA["properties"][kind.section]["items"]))
    request = item | {"required": [field for field in item["required"] if field != kind.identity]}
    response = {name: value for name, value in item.items() if name != "additionalProperties"}
    if kind.identity == "id":
        request = request | {"properties": {"id": _ID | {"description": "That of the address."}} | item["properties"]}
        response = response | {"properties": {"id": _ID} | item["properties"], "required": ["id", *item["required"]]}
    request, response = _with_limits(request, "Request"), _with_limits(response, "Response")
    saved = object_schema({"live": _LIVE, "detail": _DETAIL}, optional=("detail",))
    listed = {kind.section: {"type": "array", "items": ref(f"{name}Response")}, "next": _NEXT}
    deleted = {kind.identity: TEXT, "live": _LIVE, "detail": _DETAIL}
    return {
        f"{name}Request": request,
        f"{name}Response": response,
        f"{name}SavedResponse": {"allOf": [ref(f"{name}Response"), saved]},
        f"{name}DeletedResponse": object_schema(deleted, optional=("detail",)),
        f"{plural_name(kind)}Response": object_schema(listed),
    }


def _with_limits(schema: Schema, message: str) -> Schema:
    """With limits that are a schema with a name, so that generated clients have one class for all of them."""
    properties: Schema = schema["properties"]
    if "limits" not in properties:
        return schema
    limits = properties["limits"] | {"items": ref(f"PolicyLimit{message}")}
    return schema | {"properties": properties | {"limits": limits}}


def _described(schema: Schema) -> Schema:
    """With descriptions, and with a type of each enumeration."""
    for field, value in schema["properties"].items():
        description = {"description": DESCRIPTIONS[field]} if field in DESCRIPTIONS else {}
        schema["properties"][field] = portable(value) | description
    return portable(schema)


def portable(value: Any) -> Any:
    """A schema in the words that generators of clients know."""
    if isinstance(value, list):
        return [portable(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {name: portable(each) for name, each in value.items()}
    if found.get("pattern") == PRINTABLE.pattern:
        del found["pattern"]
        found |= _PRINTABLE_HERE
    if isinstance(found.get("enum"), list):
        found["type"] = ["string", "null"] if None in found["enum"] else "string"
    return found


_LIMIT = portable(deepcopy(SCHEMA["properties"]["policies"]["items"]["properties"]["limits"]["items"]))

COMMON_SCHEMAS: dict[str, Schema] = {
    "PolicyLimitRequest": _LIMIT,
    "PolicyLimitResponse": {name: value for name, value in _LIMIT.items() if name != "additionalProperties"},
    "AwaitingResponse": object_schema(
        {
            "live": {"const": False},
            "detail": TEXT,
            "change": ref("ChangeSetDetailsResponse") | {"description": "The change set that awaits approval."},
        }
    ),
    "DryRunResponse": object_schema(
        {
            "dry_run": {"const": True},
            "differences": {"type": "array", "items": TEXT, "description": "What would change, one sentence each."},
        }
    ),
    "StillUsedProblemResponse": {
        "allOf": [
            ref("ProblemResponse"),
            object_schema(
                {"references": {"type": "array", "items": TEXT, "description": "What refers to the object."}},
                optional=("references",),
            ),
        ]
    },
    "AlreadyExistsProblemResponse": {"allOf": [ref("ProblemResponse"), object_schema({"id": _ID}, optional=("id",))]},
}
