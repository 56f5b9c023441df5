"""Validates requests about clients, field by field."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from api.problems import NOT_FOUND, ProblemResponse
from api.requests import invalid, reject_invalid
from ratelimit_enforcer.domain.client import key_problem
from ratelimit_enforcer.domain.enums import ClientStatus
from ratelimit_enforcer.domain.validation import (
    MAX_NAME_LENGTH,
    MAX_REASON_LENGTH,
    NOT_PRINTABLE,
    PRINTABLE,
    slug_problem,
    tags_problem,
)

PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
_STATUSES = ", ".join(ClientStatus)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page of clients: those after the key ``after``, at most ``limit``; only those on a plan, with a status, with
    a key that begins with ``prefix``, with a ``parent`` (None: all), and with each ``tag``."""

    limit: int = PAGE_SIZE
    after: str = ""
    plan: str | None = None
    status: str | None = None
    prefix: str | None = None
    parent: str | None = None
    tag: Sequence[str] = ()


def parse_client(body: Any) -> dict[str, Any]:
    """The fields of a client. Raises :class:`ProblemResponse`, which lists every invalid field."""
    if not isinstance(body, dict):
        raise invalid({"body": ["must be a JSON object."]})
    return checked(body, _CLIENT_FIELDS, "is not a field of a client.")


def parse_reset(body: Any) -> str:
    """The reason for a reset. Raises :class:`ProblemResponse`."""
    if not isinstance(body, dict):
        raise invalid({"body": ["must be a JSON object."]})
    reason: str = checked({"reason": None} | body, {"reason": _reason_problem}, "is not a field of a reset.")["reason"]
    return reason


def parse_page(query: str) -> PageRequest:
    """The query of a list of clients. Raises :class:`ProblemResponse`."""
    values = parse_qs(query, keep_blank_values=True)
    reject_invalid((name, "must be given once.") for name in values if name != "tag" and len(values[name]) > 1)
    given = {name: found if name == "tag" else found[0] for name, found in values.items()}
    fields = checked(given, _PAGE_FIELDS, "is not a query parameter here.")
    return PageRequest(**fields | {"limit": int(fields.get("limit", PAGE_SIZE))})


def require_key(key: str) -> str:
    """The key in a URL. Raises :class:`ProblemResponse` (404) if it is not valid as a key."""
    if message := key_problem(key):
        raise ProblemResponse(NOT_FOUND, f"This cannot be a client's key: it {message}")
    return key


def checked(
    fields: Mapping[str, Any], checks: Mapping[str, Callable[[Any], str | None]], unknown: str
) -> dict[str, Any]:
    """The fields. ``checks``: name → a function that returns what is wrong with a value, or None; ``unknown``: what is
    wrong with any other name. Raises :class:`ProblemResponse`."""
    reject_invalid(_problems(fields, checks, unknown))
    return dict(fields)


def _problems(
    fields: Mapping[str, Any], checks: Mapping[str, Callable[[Any], str | None]], unknown: str
) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        check = checks.get(name)
        if message := check(value) if check else unknown:
            yield name, message


def text_problem(value: Any, most: int) -> str | None:
    """What is wrong with a value that should be a text of at most ``most`` characters, or None."""
    if not isinstance(value, str):
        return "must be a string."
    if len(value) > most:
        return f"must have at most {most} characters."
    return None if PRINTABLE.match(value) else NOT_PRINTABLE


def _name_problem(value: Any) -> str | None:
    return text_problem(value, MAX_NAME_LENGTH)


def _reason_problem(value: Any) -> str | None:
    if value is None or value == "" or (isinstance(value, str) and not value.strip()):
        return "is required: the reason for the reset."
    return text_problem(value, MAX_REASON_LENGTH)


def _plan_problem(value: Any) -> str | None:
    if value is None:
        return None
    return slug_problem(value) if isinstance(value, str) else "must be the slug of a plan, or null."


def _status_problem(value: Any) -> str | None:
    return None if isinstance(value, str) and value in list(ClientStatus) else f"must be one of: {_STATUSES}."


def _tags_problem(value: Any) -> str | None:
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        return "must be a list of tags."
    return tags_problem(value)


def limit_problem(value: str) -> str | None:
    """What is wrong with the parameter ``limit`` of a list, or None."""
    valid = value.isascii() and value.isdigit() and len(value) <= 4 and 1 <= int(value) <= MAX_PAGE_SIZE
    return None if valid else f"must be a whole number from 1 to {MAX_PAGE_SIZE:,}."


def _parent_problem(value: Any) -> str | None:
    if value is None:
        return None
    return key_problem(value) if isinstance(value, str) else "must be the key of a client, or null."


_CLIENT_FIELDS = {
    "name": _name_problem,
    "plan": _plan_problem,
    "status": _status_problem,
    "tags": _tags_problem,
    "parent": _parent_problem,
}
_PAGE_FIELDS = {
    "limit": limit_problem,
    "after": key_problem,
    "plan": slug_problem,
    "status": _status_problem,
    "prefix": key_problem,
    "parent": key_problem,
    "tag": _tags_problem,
}
