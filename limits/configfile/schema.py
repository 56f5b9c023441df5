"""The shape of the config file as a JSON Schema: sections, fields and their types.

Ranges and what belongs together are the domain's business (:mod:`limits.domain.validation`).
"""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError

from limits.configfile.spelling import Misspelled
from limits.domain.problems import Location, Problem
from limits.domain.validation import (
    MAX_NAME_LENGTH,
    MAX_REASON_LENGTH,
    MAX_ROUTE_LENGTH,
    NOT_PRINTABLE,
    PRINTABLE,
)
from limits.domain.words import AlertMetric, Algorithm, ClientStatus, GroupBy, Mode, OnStoreFailure, Partition, Period

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


def _one_of(words: Any) -> dict[str, Any]:
    return {"enum": [word.value for word in words]}


def _text(max_length: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": max_length, "pattern": PRINTABLE.pattern}


_TEXT = {"type": "string"}
_NAME = _text(MAX_NAME_LENGTH)
_TEXT_OR_NULL = {"type": ["string", "null"]}
_WHOLE = {"type": "integer"}
_YES_NO = {"type": "boolean"}

_LIMITS = _list_of(
    _object(
        ("quota",),
        quota=_WHOLE,
        window=_WHOLE,
        algorithm=_one_of(Algorithm),
        burst=_WHOLE,
        period=_one_of(Period),
        timezone=_TEXT,
    )
)

SCHEMA = _object(
    (),
    plans=_list_of(_object(("slug",), slug=_TEXT, name=_NAME, default=_YES_NO)),
    endpoints=_list_of(
        _object(("slug",), slug=_TEXT, name=_NAME, routes=_list_of(_text(MAX_ROUTE_LENGTH)), cost=_WHOLE)
    ),
    policies=_list_of(
        _object(
            ("slug", "limits"),
            slug=_TEXT,
            name=_NAME,
            plan=_TEXT_OR_NULL,
            endpoint=_TEXT_OR_NULL,
            partition=_one_of(Partition),
            mode=_one_of(Mode),
            on_store_failure=_one_of(OnStoreFailure),
            limits=_LIMITS,
        )
    ),
    clients=_list_of(_object(("key",), key=_TEXT, name=_NAME, plan=_TEXT_OR_NULL, status=_one_of(ClientStatus))),
    overrides=_list_of(
        _object(
            ("client", "policy", "limits"),
            client=_TEXT,
            policy=_TEXT,
            limits=_LIMITS,
            starts_at=_TEXT_OR_NULL,
            ends_at=_TEXT_OR_NULL,
            reason=_text(MAX_REASON_LENGTH),
        )
    ),
    alert_rules=_list_of(
        _object(
            ("name", "metric", "threshold"),
            name=_text(MAX_RULE_NAME_LENGTH),
            metric=_one_of(AlertMetric),
            threshold={"type": "number"},
            window=_WHOLE,
            client=_TEXT_OR_NULL,
            plan=_TEXT_OR_NULL,
            endpoint=_TEXT_OR_NULL,
            policy=_TEXT_OR_NULL,
            group_by={"enum": [*(word.value for word in GroupBy), "none", None]},
            cooldown=_WHOLE,
            emails=_list_of(_TEXT),
            webhooks=_list_of(_TEXT),
            min_requests=_WHOLE,
            notify_resolved={"type": "boolean"},
        )
    ),
)
"""Draft 2020-12."""

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
        "string": lambda checker, value: isinstance(value, str) and not isinstance(value, Misspelled),
    }
)
_VALIDATOR = validators.extend(Draft202012Validator, type_checker=_CHECKER)(SCHEMA)
"""JSON Schema takes 1.0 for a whole number; the contract does not. What is misspelled is of no type."""


def shape_problems(data: Any) -> Iterator[Problem]:
    """Yields everything that is not in its place or of its type."""
    errors = sorted(_VALIDATOR.iter_errors(data), key=_place)
    # Each missing field is an error of its own that lists them all.
    yield from dict.fromkeys(problem for error in errors for problem in _problems(error))


def _place(error: ValidationError) -> list[tuple[int, str]]:
    """Positions as numbers: 2 comes before 10."""
    return [(part, "") if isinstance(part, int) else (0, part) for part in error.absolute_path]


def _problems(error: ValidationError) -> Iterator[Problem]:
    here = tuple(error.absolute_path)
    if isinstance(error.instance, Misspelled):
        yield Problem(here, error.instance.explanation)
    else:
        yield from _problems_at(here, error)


def _problems_at(here: Location, error: ValidationError) -> Iterator[Problem]:
    given: Any = error.instance
    wanted: Any = error.validator_value
    schema: Any = error.schema
    if error.validator == "additionalProperties":
        known = ", ".join(schema["properties"])
        for name in (name for name in given if name not in schema["properties"]):
            yield Problem((*here, name), f"is not known here; known are: {known}.")
    elif error.validator == "required":
        for name in (name for name in wanted if name not in given):
            yield Problem((*here, name), "is missing.")
    elif error.validator == "enum":
        yield Problem(here, f"must be one of: {', '.join(word for word in wanted if word)}.")
    elif error.validator == "maxLength":
        yield Problem(here, f"must have at most {wanted} characters.")
    elif error.validator == "pattern":
        yield Problem(here, NOT_PRINTABLE)
    else:
        yield Problem(here, f"must be {_type_names(wanted)}.")


def _type_names(types: str | list[str]) -> str:
    return " or ".join(_TYPES[name] for name in ([types] if isinstance(types, str) else types))
