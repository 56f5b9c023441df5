"""Parts of the validation of requests that are the same for all kinds of rows."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

from rest_framework.request import Request

from api.requests import invalid, parse_query, read_json, reject_invalid
from limits.domain.rule_items import moment_of_text
from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH, NOT_PRINTABLE, PRINTABLE

PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
MAX_ID = 2**63 - 1
"""Of a row, or of a version of the rules."""

NOT_A_MOMENT = "must be a date and time with a time zone, such as “2026-12-01T00:00:00Z”."

Check = Callable[[Any], str | None]
"""Returns what is wrong with a value, or None."""


def checked(fields: Mapping[str, Any], checks: Mapping[str, Check], unknown: str) -> dict[str, Any]:
    """The fields. ``unknown``: what is wrong with a name without a check. Raises
    :class:`~api.problems.ProblemResponse`, which lists every invalid field."""
    reject_invalid(_problems(fields, checks, unknown))
    return dict(fields)


def _problems(fields: Mapping[str, Any], checks: Mapping[str, Check], unknown: str) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        check = checks.get(name)
        if message := check(value) if check else unknown:
            yield name, message


def checked_query(query: str, checks: Mapping[str, Check], *, lists: Collection[str] = ()) -> dict[str, Any]:
    """The parameters of a query; those in ``lists`` may be given more than once, and are lists. Raises
    :class:`~api.problems.ProblemResponse`."""
    values = parse_qs(query, keep_blank_values=True)
    reject_invalid((name, "must be given once.") for name in values if name not in lists and len(values[name]) > 1)
    given = {name: found if name in lists else found[0] for name, found in values.items()}
    return checked(given, checks, "is not a query parameter here.")


def is_dry_run(request: Request) -> bool:
    """Whether nothing is to be changed. Raises :class:`~api.problems.ProblemResponse`."""
    return "dry_run" in parse_query(request.META.get("QUERY_STRING", ""), {"dry_run": "1"})


def json_object(body: Any) -> dict[str, Any]:
    """The body, if it is an object. Raises :class:`~api.problems.ProblemResponse`."""
    if not isinstance(body, dict):
        raise invalid({"body": ["must be a JSON object."]})
    return body


def optional_object(request: Request) -> dict[str, Any]:
    """The object in the body of a request; an empty one if there is no body. Raises
    :class:`~api.problems.ProblemResponse`."""
    if request.META.get("CONTENT_LENGTH") in (None, "", "0") and "HTTP_TRANSFER_ENCODING" not in request.META:
        return {}
    return json_object(read_json(request))


def read_reason_only(request: Request, unknown: str) -> str:
    """The reason in the body of a request, which may be empty. ``unknown``: what is wrong with any other field. Raises
    :class:`~api.problems.ProblemResponse`."""
    given = checked(optional_object(request), {"reason": reason_problem}, unknown)
    return str(given.get("reason", ""))


def reject_lone_surrogates(body: dict[str, Any]) -> None:
    """They are valid in JSON, but cannot be stored or repeated in an answer."""
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise invalid({"body": ["must not contain lone surrogates."]}) from error


def text_problem(value: Any, most: int) -> str | None:
    """What is wrong with a value that should be a text of at most ``most`` characters, or None."""
    if not isinstance(value, str):
        return "must be a string."
    if len(value) > most:
        return f"must have at most {most} characters."
    return None if PRINTABLE.match(value) else NOT_PRINTABLE


def reason_problem(value: Any) -> str | None:
    """What is wrong with a reason that may be empty, or None."""
    return text_problem(value, MAX_REASON_LENGTH)


def moment_problem(value: Any) -> str | None:
    """What is wrong with a date and time, or None."""
    return None if isinstance(value, str) and moment_of_text(value) else NOT_A_MOMENT


def limit_problem(value: str) -> str | None:
    """What is wrong with the parameter ``limit`` of a list, or None."""
    valid = value.isascii() and value.isdigit() and len(value) <= 4 and 1 <= int(value) <= MAX_PAGE_SIZE
    return None if valid else f"must be a whole number from 1 to {MAX_PAGE_SIZE:,}."


def id_problem(message: str) -> Check:
    """Returns a check of an id in a query, with this message, such as “must be the id of a grant.”"""

    def problem_of(value: str) -> str | None:
        valid = value.isascii() and value.isdigit() and len(value) <= len(str(MAX_ID)) and 1 <= int(value) <= MAX_ID
        return None if valid else message

    return problem_of
