"""The shape of the config file as a JSON Schema: sections, fields and their types.

Ranges and what belongs together are the domain's business (:mod:`limits.domain.validation`).
"""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError

from limits.domain.problems import Problem
from limits.domain.words import Algorithm, ClientStatus, Mode, OnStoreFailure, Partition, Period


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


_TEXT = {"type": "string"}
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
    plans=_list_of(_object(("slug",), slug=_TEXT, name=_TEXT, default=_YES_NO)),
    endpoints=_list_of(_object(("slug",), slug=_TEXT, name=_TEXT, routes=_list_of(_TEXT), cost=_WHOLE)),
    policies=_list_of(
        _object(
            ("slug", "limits"),
            slug=_TEXT,
            name=_TEXT,
            plan=_TEXT_OR_NULL,
            endpoint=_TEXT_OR_NULL,
            partition=_one_of(Partition),
            mode=_one_of(Mode),
            on_store_failure=_one_of(OnStoreFailure),
            limits=_LIMITS,
        )
    ),
    clients=_list_of(_object(("key",), key=_TEXT, name=_TEXT, plan=_TEXT_OR_NULL, status=_one_of(ClientStatus))),
    overrides=_list_of(
        _object(
            ("client", "policy", "limits"),
            client=_TEXT,
            policy=_TEXT,
            limits=_LIMITS,
            starts_at=_TEXT_OR_NULL,
            ends_at=_TEXT_OR_NULL,
            reason=_TEXT,
        )
    ),
)
"""Draft 2020-12."""

_TYPES = {
    "string": "text (put it in quotes)",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping of fields",
    "null": "empty",
}

_whole_numbers = Draft202012Validator.TYPE_CHECKER.redefine(
    "integer", lambda checker, value: isinstance(value, int) and not isinstance(value, bool)
)
_VALIDATOR = validators.extend(Draft202012Validator, type_checker=_whole_numbers)(SCHEMA)
"""JSON Schema takes 1.0 for a whole number; the contract does not."""


def shape_problems(data: Any) -> Iterator[Problem]:
    """Yields everything that is not in its place or of its type."""
    for error in sorted(_VALIDATOR.iter_errors(data), key=lambda error: list(map(str, error.absolute_path))):
        yield from _problems(error)


def _problems(error: ValidationError) -> Iterator[Problem]:
    here = tuple(error.absolute_path)
    given: Any = error.instance
    wanted: Any = error.validator_value
    schema: Any = error.schema
    if error.validator == "additionalProperties":
        known = ", ".join(schema["properties"])
        for name in given.keys() - schema["properties"].keys():
            yield Problem((*here, name), f"is not known here; known are: {known}.")
    elif error.validator == "required":
        for name in set(wanted) - given.keys():
            yield Problem((*here, name), "is missing.")
    elif error.validator == "enum":
        yield Problem(here, f"must be one of: {', '.join(wanted)}.")
    else:
        yield Problem(here, f"must be {_type_names(wanted)}.")


def _type_names(types: str | list[str]) -> str:
    return " or ".join(_TYPES[name] for name in ([types] if isinstance(types, str) else types))
