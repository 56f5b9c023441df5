"""The shape of the config file as a JSON Schema: sections, fields and their types.

Ranges and dependencies between fields are checked by the domain
(:mod:`ratelimit_enforcer.domain.validation`).
"""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError

from limits.configfile.reading import RejectedScalar
from limits.models.plan_order import MAX_PRICE_NOTE_LENGTH
from ratelimit_enforcer.domain.enums import (
    AlertMetric,
    Algorithm,
    ClientStatus,
    GroupBy,
    Mode,
    OnStoreFailure,
    OverQuota,
    Partition,
    Period,
)
from ratelimit_enforcer.domain.validation import (
    MAX_NAME_LENGTH,
    MAX_REASON_LENGTH,
    MAX_ROUTE_LENGTH,
    NOT_PRINTABLE,
    PRINTABLE,
    Location,
    ValidationProblem,
)

MAX_RULE_NAME_LENGTH = 100


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _list_of(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


def _one_of(enumeration: Any) -> dict[str, Any]:
    return {"enum": [member.value for member in enumeration]}


def _text(max_length: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": max_length, "pattern": PRINTABLE.pattern}


_TEXT = {"type": "string"}
_NAME = _text(MAX_NAME_LENGTH)
_TEXT_OR_NULL = {"type": ["string", "null"]}
_INTEGER = {"type": "integer"}
_BOOLEAN = {"type": "boolean"}

_LIMITS = _list_of(
    _object(
        ("quota",),
        quota=_INTEGER,
        window=_INTEGER,
        algorithm=_one_of(Algorithm),
        burst=_INTEGER,
        period=_one_of(Period),
        timezone=_TEXT,
    )
)

_PARTITION = {
    "anyOf": [_one_of(Partition), _list_of(_TEXT)],
    "description": "must be client, global, or a list of client and attributes.",
}

_OVERRIDE = {"if": {"required": ["clients"]}, "else": {"required": ["client"]}} | _object(
    ("policy", "limits"),
    client=_TEXT,
    clients=_object((), tags=_list_of(_TEXT), plan=_TEXT, prefix=_TEXT),
    policy=_TEXT,
    limits=_LIMITS,
    starts_at=_TEXT_OR_NULL,
    ends_at=_TEXT_OR_NULL,
    reason=_text(MAX_REASON_LENGTH),
)

SCHEMA = _object(
    (),
    plans=_list_of(
        _object(
            ("slug",),
            slug=_TEXT,
            name=_NAME,
            default=_BOOLEAN,
            position=_INTEGER,
            price_note=_text(MAX_PRICE_NOTE_LENGTH),
        )
    ),
    endpoints=_list_of(
        _object(("slug",), slug=_TEXT, name=_NAME, routes=_list_of(_text(MAX_ROUTE_LENGTH)), cost=_INTEGER)
    ),
    policies=_list_of(
        _object(
            ("slug", "limits"),
            slug=_TEXT,
            name=_NAME,
            plan=_TEXT_OR_NULL,
            endpoint=_TEXT_OR_NULL,
            partition=_PARTITION,
            match={"type": "object", "additionalProperties": _list_of(_TEXT)},
            mode=_one_of(Mode),
            on_store_failure=_one_of(OnStoreFailure),
            over_quota=_one_of(OverQuota),
            starts_at=_TEXT_OR_NULL,
            ends_at=_TEXT_OR_NULL,
            limits=_LIMITS,
        )
    ),
    clients=_list_of(
        _object(
            ("key",),
            key=_TEXT,
            name=_NAME,
            plan=_TEXT_OR_NULL,
            status=_one_of(ClientStatus),
            tags=_list_of(_TEXT),
            parent=_TEXT_OR_NULL,
        )
    ),
    overrides=_list_of(_OVERRIDE),
    grants=_list_of(
        _object(
            ("client", "policy", "amount", "from", "until"),
            **{
                "client": _TEXT,
                "policy": _TEXT,
                "amount": _INTEGER,
                "from": _TEXT,
                "until": _TEXT,
                "priority": _INTEGER,
                "reason": _text(MAX_REASON_LENGTH),
            },
        )
    ),
    blocks=_list_of(
        _object(
            ("reason",),
            client=_TEXT,
            prefix=_TEXT,
            network=_TEXT,
            reason=_text(MAX_REASON_LENGTH),
            ends_at=_TEXT_OR_NULL,
        )
    ),
    channels=_list_of(_object(("slug", "url"), slug=_TEXT, url=_TEXT, approvals=_BOOLEAN)),
    alert_rules=_list_of(
        _object(
            ("name", "metric", "threshold"),
            name=_text(MAX_RULE_NAME_LENGTH),
            metric=_one_of(AlertMetric),
            threshold={"type": "number"},
            window=_INTEGER,
            client=_TEXT_OR_NULL,
            plan=_TEXT_OR_NULL,
            endpoint=_TEXT_OR_NULL,
            policy=_TEXT_OR_NULL,
            group_by={"enum": [*(member.value for member in GroupBy), "none", None]},
            cooldown=_INTEGER,
            emails=_list_of(_TEXT),
            webhooks=_list_of(_TEXT),
            channels=_list_of(_TEXT),
            min_requests=_INTEGER,
            notify_resolved={"type": "boolean"},
        )
    ),
)
"""JSON Schema draft 2020-12."""

_TYPES = {
    "string": "text (put it in quotes)",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping of fields",
    "null": "empty",
}

_CHECKER = Draft202012Validator.TYPE_CHECKER.redefine_many(
    {
        "integer": lambda checker, value: isinstance(value, int) and not isinstance(value, bool),
        "string": lambda checker, value: isinstance(value, str) and not isinstance(value, RejectedScalar),
    }
)
_VALIDATOR = validators.extend(Draft202012Validator, type_checker=_CHECKER)(SCHEMA)
"""JSON Schema accepts 1.0 as a whole number; the platform does not. A misspelled value has no type."""


def shape_problems(data: Any) -> Iterator[ValidationProblem]:
    """Yields every value in the wrong place or of the wrong type."""
    errors = sorted(_VALIDATOR.iter_errors(data), key=_position)
    # Each missing field is a separate error that lists them all.
    yield from dict.fromkeys(problem for error in errors for problem in _problems(error))


def _position(error: ValidationError) -> list[tuple[int, str]]:
    """Compares positions as numbers: 2 comes before 10."""
    return [(part, "") if isinstance(part, int) else (0, part) for part in error.absolute_path]


def _problems(error: ValidationError) -> Iterator[ValidationProblem]:
    here = tuple(error.absolute_path)
    if isinstance(error.instance, RejectedScalar):
        yield ValidationProblem(here, error.instance.explanation)
    else:
        yield from _problems_at(here, error)


def _problems_at(here: Location, error: ValidationError) -> Iterator[ValidationProblem]:
    given: Any = error.instance
    wanted: Any = error.validator_value
    schema: Any = error.schema
    if error.validator == "additionalProperties":
        known = ", ".join(schema["properties"])
        for name in (name for name in given if name not in schema["properties"]):
            yield ValidationProblem((*here, name), f"is unknown; allowed here: {known}.")
    elif error.validator == "required":
        for name in (name for name in wanted if name not in given):
            yield ValidationProblem((*here, name), "is missing.")
    elif error.validator == "enum":
        yield ValidationProblem(here, f"must be one of: {', '.join(member for member in wanted if member)}.")
    else:
        yield ValidationProblem(here, _message(error))


def _message(error: ValidationError) -> str:
    wanted: Any = error.validator_value
    schema: Any = error.schema
    match error.validator:
        case "anyOf":
            return str(schema["description"])
        case "maxLength":
            return f"must have at most {wanted} characters."
        case "pattern":
            return NOT_PRINTABLE
        case _:
            return f"must be {_type_names(wanted)}."


def _type_names(types: str | list[str]) -> str:
    return " or ".join(_TYPES[name] for name in ([types] if isinstance(types, str) else types))
