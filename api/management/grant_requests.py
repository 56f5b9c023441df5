"""Validates requests about grants, field by field."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from rest_framework.request import Request

from api.management.requests import PAGE_SIZE, checked, limit_problem, text_problem
from api.requests import invalid, read_json, reject_invalid, whole_number
from limits.domain.rule_items import moment_of_text
from ratelimit_enforcer.domain.client import key_problem
from ratelimit_enforcer.domain.grants import MAX_AMOUNT, MAX_PRIORITY
from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH, slug_problem

MAX_ID = 2**63 - 1
_NOT_A_MOMENT = "must be a date and time with a time zone, such as “2026-12-01T00:00:00Z”."
_FIXED = ("client", "policy", "from")


@dataclass(frozen=True, slots=True)
class GrantFields:
    """The fields of a grant. ``identity``: those that cannot be changed, as they were sent: client, policy and from.
    ``body``: the request as it was sent."""

    identity: dict[str, Any]
    amount: int
    until: datetime
    priority: int
    reason: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class GrantsPage:
    """A page of grants: at most ``limit``, with higher ids than ``after``, of one client, on one policy (None: all)."""

    limit: int = PAGE_SIZE
    after: int = 0
    client: str | None = None
    policy: str | None = None


def read_grant(request: Request) -> GrantFields:
    """The new grant in the body of a request. Raises :class:`~api.problems.ProblemResponse`, which lists every invalid
    field."""
    return _read(request, {"client": None, "policy": None})


def read_grant_change(request: Request) -> GrantFields:
    """The fields of a grant that is changed: those that cannot be changed may be missing."""
    return _read(request, {})


def _read(request: Request, required: dict[str, Any]) -> GrantFields:
    body = read_json(request)
    if not isinstance(body, dict):
        raise invalid({"body": ["must be a JSON object."]})
    given = checked({**required, "amount": None, "until": None} | body, _FIELDS, "is not a field of a grant.")
    until = moment_of_text(given["until"])
    if until is None:
        raise invalid({"until": [_NOT_A_MOMENT]})
    identity = {name: given[name] for name in _FIXED if name in given}
    return GrantFields(identity, given["amount"], until, given.get("priority", 0), given.get("reason", ""), body)


def parse_grants_page(query: str) -> GrantsPage:
    """The query of the list of grants. Raises :class:`~api.problems.ProblemResponse`."""
    values = parse_qs(query, keep_blank_values=True)
    reject_invalid((name, "must be given once.") for name in values if len(values[name]) > 1)
    given = checked({name: found[0] for name, found in values.items()}, _PAGE_FIELDS, "is not a query parameter here.")
    numbers = {"limit": int(given.get("limit", PAGE_SIZE)), "after": int(given.get("after", 0))}
    return GrantsPage(**given | numbers)


def _client_problem(value: Any) -> str | None:
    return key_problem(value) if isinstance(value, str) else "is required: the key of a registered client."


def _policy_problem(value: Any) -> str | None:
    return slug_problem(value) if isinstance(value, str) else "is required: the slug of a policy."


def _moment_problem(value: Any) -> str | None:
    return None if isinstance(value, str) and moment_of_text(value) else _NOT_A_MOMENT


def _reason_problem(value: Any) -> str | None:
    return text_problem(value, MAX_REASON_LENGTH)


def _after_problem(value: str) -> str | None:
    valid = value.isascii() and value.isdigit() and len(value) <= len(str(MAX_ID)) and 1 <= int(value) <= MAX_ID
    return None if valid else "must be the id of a grant."


_FIELDS = {
    "client": _client_problem,
    "policy": _policy_problem,
    "amount": whole_number(1, MAX_AMOUNT),
    "from": _moment_problem,
    "until": _moment_problem,
    "priority": whole_number(0, MAX_PRIORITY),
    "reason": _reason_problem,
}
_PAGE_FIELDS = {"limit": limit_problem, "after": _after_problem, "client": key_problem, "policy": slug_problem}
