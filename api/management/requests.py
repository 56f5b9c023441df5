"""Validates requests about clients, field by field."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from api.management.fields import PAGE_SIZE, checked, checked_query, json_object, limit_problem, text_problem
from api.problems import NOT_FOUND, ProblemResponse
from ratelimit_enforcer.domain.client import key_problem
from ratelimit_enforcer.domain.enums import ClientStatus
from ratelimit_enforcer.domain.validation import (
    MAX_NAME_LENGTH,
    MAX_REASON_LENGTH,
    slug_problem,
    tags_problem,
)

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
    return checked(json_object(body), _CLIENT_FIELDS, "is not a field of a client.")


def parse_reset(body: Any) -> str:
    """The reason for a reset. Raises :class:`ProblemResponse`."""
    given = checked({"reason": None} | json_object(body), {"reason": _reason_problem}, "is not a field of a reset.")
    return str(given["reason"])


def parse_page(query: str) -> PageRequest:
    """The query of a list of clients. Raises :class:`ProblemResponse`."""
    fields = checked_query(query, _PAGE_FIELDS, lists=("tag",))
    return PageRequest(**fields | {"limit": int(fields.get("limit", PAGE_SIZE))})


def require_key(key: str) -> str:
    """The key in a URL. Raises :class:`ProblemResponse` (404) if it is not valid as a key."""
    if message := key_problem(key):
        raise ProblemResponse(NOT_FOUND, f"This cannot be a client's key: it {message}")
    return key


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
