"""JSON Schemas of change sets."""

from api.management.change_requests import MAX_NAME_LENGTH
from api.openapi.schemas import TAG, TEXT, Schema, count, nullable, object_schema, ref
from limits.models import ChangeSet, Simulation
from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH

_PRINTABLE = {"not": {"pattern": r"[\u0000-\u001f\u007f-\u009f]"}}
_NAME: Schema = {
    "type": "string",
    "maxLength": MAX_NAME_LENGTH,
    "pattern": r"\S",
    **_PRINTABLE,
    "description": "For people; unique among the change sets that are not over.",
}
_REASON: Schema = {
    "type": "string",
    "maxLength": MAX_REASON_LENGTH,
    **_PRINTABLE,
    "description": "For the history of the rules.",
}
_ITEMS: Schema = {"type": "array", "items": {"type": "object"}}
_CONFIG: Schema = {
    "type": "object",
    "properties": dict.fromkeys(("plans", "endpoints", "policies", "overrides"), _ITEMS),
    "additionalProperties": False,
    "description": "A config file, as `apply_config` takes it. Items that are not named stay as they are. Clients, "
    "their overrides, blocks and alert rules cannot be part of a change set.",
}
_DATE: Schema = {"type": "string", "format": "date-time"}
_AT = _DATE | {"description": "When it begins, by the clock of the store."}
_UNTIL = nullable(_DATE) | {"description": "When it is undone; null: never."}
_PERCENT: Schema = {"type": "integer", "minimum": 1, "maximum": 99}
_SHARE = _PERCENT | {"description": "Percent of the clients that have no parent, with all clients below them."}
_TAG = TAG | {"description": "Clients with this tag, in place of a share."}
_VERSION: Schema = {"type": ["integer", "null"]}
_ANY: Schema = {}

_CHANGE_SET = object_schema(
    {
        "id": {"type": "integer"},
        "name": TEXT,
        "reason": TEXT,
        "state": {"type": "string", "enum": list(ChangeSet.State)},
        "author": TEXT | {"description": "A user name, or `token NAME`."},
        "created_at": _DATE,
        "base": _VERSION | {"description": "The version of the rules for which it was prepared; null: none."},
        "at": nullable(_DATE) | {"description": "When it begins; null: no schedule."},
        "until": _UNTIL,
        "share": nullable(_PERCENT) | {"description": "The share of the clients on which it is tried, in percent."},
        "tag": nullable(TEXT) | {"description": "The tag of the clients on which it is tried."},
        "approved_by": nullable(TEXT) | {"description": "The user who approved it."},
        "publication": _VERSION | {"description": "The version that published it, as planned or for all clients."},
    }
)
_DETAILS = object_schema(
    {
        "differences": {
            "type": "array",
            "items": TEXT,
            "description": "What it changes in the present rules, one sentence each; once it is published, what that "
            "version changed.",
        },
        "conflicts": {
            "type": "array",
            "items": ref("ChangeSetConflictResponse"),
            "description": "Fields that others have changed since.",
        },
        "simulations": {
            "type": "array",
            "items": ref("ChangeSetSimulationResponse"),
            "description": "The latest ten simulations, the newest first.",
        },
    }
)
_LIVE = object_schema(
    {
        "live": {
            "type": "boolean",
            "description": "Whether what was requested is in force on every server; true for a draft, of which nothing "
            "is.",
        },
        "detail": TEXT | {"description": "Why it is not live yet."},
    },
    optional=("detail",),
)

_FIGURES = object_schema(
    {
        "requests": count("Recorded requests."),
        "clients": count("Clients with recorded requests; of a policy, those that it may deny something."),
        "before_least": count("Denied requests without the change set, at least."),
        "before_most": count("Denied requests without the change set, at most."),
        "after_least": count("Denied requests with the change set, at least."),
        "after_most": count("Denied requests with the change set, at most."),
        "clients_before_least": count("Clients with denied requests without the change set, at least."),
        "clients_before_most": count("Clients with denied requests without the change set, at most."),
        "clients_after_least": count("Clients with denied requests with the change set, at least."),
        "clients_after_most": count("Clients with denied requests with the change set, at most."),
    }
)
_FIGURES_BY_NAME: Schema = {"type": "object", "additionalProperties": _FIGURES}
_TOTALS = {
    **object_schema(
        {
            "all": _FIGURES,
            "plans": _FIGURES_BY_NAME,
            "endpoints": _FIGURES_BY_NAME,
            "policies": _FIGURES_BY_NAME,
        }
    ),
    "type": ["object", "null"],
    "description": "Bounds of what is denied: of everything, and by plan, endpoint and policy; null until it is done.",
}
_SIMULATION = object_schema(
    {
        "id": {"type": "integer"},
        "from": _DATE,
        "to": _DATE,
        "state": {"type": "string", "enum": list(Simulation.State)},
        "progress": count("In percent."),
        "outdated": {"type": "boolean", "description": "Whether the change set was edited afterwards."},
        "started_at": _DATE,
        "finished_at": nullable(_DATE),
        "totals": _TOTALS,
        "problems": {
            "type": "array",
            "items": TEXT,
            "description": "What could not be simulated, or why the simulation failed, in sentences.",
        },
    }
)

CHANGE_SCHEMAS: dict[str, Schema] = {
    "ChangeSetResponse": _CHANGE_SET,
    "ChangeSetConflictResponse": object_schema(
        {
            "path": TEXT | {"description": "The field, such as `policies.search.limits.60s.quota`."},
            "before": _ANY | {"description": "The value for which the change set was prepared."},
            "after": _ANY | {"description": "The value that the change set gives it."},
            "found": _ANY | {"description": "The present value."},
        }
    ),
    "ChangeSetDetailsResponse": {"allOf": [ref("ChangeSetResponse"), _DETAILS]},
    "ChangeSetRequest": object_schema(
        {"name": _NAME, "reason": _REASON, "config": _CONFIG}, optional=("reason",), additionalProperties=False
    ),
    "ChangeSetPublicationRequest": object_schema(
        {"share": _SHARE, "tag": _TAG},
        optional=("share", "tag"),
        additionalProperties=False,
        **{"not": {"required": ["share", "tag"]}},
    ),
    "ChangeSetSavedResponse": {"allOf": [ref("ChangeSetDetailsResponse"), _LIVE]},
    "ChangeSetScheduleRequest": object_schema(
        {"at": _AT, "until": _UNTIL}, optional=("until",), additionalProperties=False
    ),
    "ChangeSetSimulationResponse": _SIMULATION,
    "ChangeSetSimulationRequest": object_schema(
        {
            "from": _DATE | {"description": "Requests from this minute on."},
            "to": _DATE | {"description": "Requests before this minute."},
        },
        additionalProperties=False,
    ),
    "ChangeSetWithdrawalRequest": object_schema({"reason": _REASON}, optional=("reason",), additionalProperties=False),
    "ChangeSetsResponse": object_schema(
        {"changes": {"type": "array", "items": ref("ChangeSetResponse")}, "next": {"type": ["string", "null"]}}
    ),
    "ChangeSetProblemResponse": {
        "allOf": [
            ref("ProblemResponse"),
            object_schema(
                {"conflicts": {"type": "array", "items": ref("ChangeSetConflictResponse")}}, optional=("conflicts",)
            ),
        ]
    },
}
