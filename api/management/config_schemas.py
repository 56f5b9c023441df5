"""JSON Schemas of the whole config and of publications. Those of the config are made from the schema of the file."""

from api.management.object_schemas import portable
from api.openapi.schemas import TEXT, Schema, nullable, object_schema, ref
from limits.configfile.schema import SCHEMA
from limits.models import Publication
from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH

_PRINTABLE = {"not": {"pattern": r"[\u0000-\u001f\u007f-\u009f]"}}

_DATE: Schema = {"type": "string", "format": "date-time"}
_VERSION: Schema = {"type": "integer", "minimum": 1}
_DIFFERENCES: Schema = {"type": "array", "items": TEXT, "description": "What it changes, one sentence each."}
_PRESENT: Schema = {
    "type": ["integer", "null"],
    "description": "The version of the rules with this change; the newest one, if no rules change; null: none.",
}

DESCRIPTIONS = {
    "plans": "The plans.",
    "endpoints": "What is protected.",
    "policies": "The limits.",
    "clients": "The registered clients; in a response only with `?clients=1`.",
    "overrides": "Limits of one client or of a segment, in place of those of a policy.",
    "grants": "Units for a client beyond the quota of a policy; in a response only with `?clients=1`.",
    "blocks": "Clients, prefixes and networks that are blocked.",
    "channels": "Where services such as Slack show messages. Their URLs are secrets.",
    "alert_rules": "Who is notified of what. Secrets, such as URLs of webhooks, are `secret:ID` in a response; a "
    "request with `secret:ID` keeps the secret.",
}


_SECTIONS = {
    name: section | {"description": DESCRIPTIONS[name]} for name, section in portable(SCHEMA["properties"]).items()
}

_WRITTEN = {
    "live": {"type": "boolean", "description": "Whether the change is in force on every server."},
    "version": _PRESENT,
    "differences": _DIFFERENCES,
    "detail": TEXT | {"description": "Why it is not live yet."},
    "change": ref("ChangeSetDetailsResponse") | {"description": "The change set that awaits approval."},
}

CONFIG_SCHEMAS: dict[str, Schema] = {
    "ConfigRequest": {
        **object_schema(_SECTIONS, optional=tuple(_SECTIONS), additionalProperties=False),
        "description": "A config file. Sections that are missing do not change.",
    },
    "ConfigResponse": object_schema(
        _SECTIONS, optional=tuple(name for name in _SECTIONS if name in ("clients", "grants", "blocks", "channels"))
    ),
    "PublishingResponse": object_schema(_WRITTEN, optional=("detail", "change")),
    "PublishingDryRunResponse": object_schema(
        {"dry_run": {"const": True}, "version": _PRESENT, "differences": _DIFFERENCES}
    ),
    "PublicationRequest": object_schema(
        {
            "reason": {
                "type": "string",
                "maxLength": MAX_REASON_LENGTH,
                **_PRINTABLE,
                "description": "For the history of the rules.",
            }
        },
        optional=("reason",),
        additionalProperties=False,
    ),
    "PublicationResponse": object_schema(
        {
            "version": _VERSION,
            "state": {
                "type": "string",
                "enum": list(Publication.State),
                "description": "`pending`: on no server yet; `partial`: on some; `live`: on all, or replaced since.",
            },
            "author": TEXT | {"description": "A user name, or `token NAME`."},
            "reason": TEXT,
            "created_at": _DATE,
            "live_at": nullable(_DATE),
            "differences": _DIFFERENCES,
            "change": {"type": ["integer", "null"], "description": "The id of the change set that it published."},
        }
    ),
    "PublicationsResponse": object_schema(
        {
            "publications": {"type": "array", "items": ref("PublicationResponse")},
            "next": {"type": ["string", "null"], "description": "The URL of the next page; null on the last page."},
        }
    ),
    "PublicationConflictProblemResponse": {
        "allOf": [
            ref("ProblemResponse"),
            object_schema(
                {"conflicts": {"type": "array", "items": ref("ChangeSetConflictResponse")}}, optional=("conflicts",)
            ),
        ]
    },
    "ConfigPreconditionProblemResponse": {
        "allOf": [
            ref("ProblemResponse"),
            object_schema(
                {
                    "version": _PRESENT | {"description": "The newest version of the rules; null: none."},
                    "since": {
                        "type": ["integer", "null"],
                        "description": "The version of the rules with the expected `ETag`; null: not known.",
                    },
                    "publications": {
                        "type": "array",
                        "items": ref("PublicationResponse"),
                        "description": "What was published since, the newest first, at most 20.",
                    },
                }
            ),
        ]
    },
}
